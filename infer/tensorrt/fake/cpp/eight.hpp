// Objects with tables of methods filled by slot number, laid out as C++ compilers lay out classes.
#pragma once
#include "common.hpp"
#include <initializer_list>
#include <utility>

using Function = void (*)();
template <class F>
Function entry(F f)
{
    return reinterpret_cast<Function>(f);
}

// Every slot that is not filled ends the process.
struct Table
{
    Function slots[128];
    Table(char const*, std::initializer_list<std::pair<int, Function>> filled)
    {
        for (Function& slot : slots)
            slot = [] { fake::trap("a method of this slot"); };
        for (auto const& [place, function] : filled)
            slots[place] = function;
    }
};

// An implementation begins with its table; the methods are plain functions that are given its address.
struct Implementation
{
    Function const* table = nullptr;
};

// What is public: a table whose slot 1 is the deleting destructor, then the implementation.
struct Object
{
    Function const* table;
    Implementation* implementation;
    void (*destroy)(Implementation*);
};
inline void delete_object(Object* object)
{
    object->destroy(object->implementation);
    delete object;
    --fake::live();
}

template <class T, class F>
Object* make(Table const& methods, F&& fill)
{
    static Table const table("public", {{1, entry(delete_object)}});
    T* implementation = new T();
    implementation->table = methods.slots;
    fill(*implementation);
    ++fake::live();
    return new Object{table.slots, implementation, [](Implementation* i) { delete static_cast<T*>(i); }};
}
template <class T>
T* of(Object* object)
{
    return static_cast<T*>(object->implementation);
}

struct Dims
{
    int32_t count;
    int32_t size[8];
};
inline Dims dims(fake::Shape const& shape)
{
    Dims out{shape.count, {}};
    for (int i = 0; i < shape.count; ++i)
        out.size[i] = static_cast<int32_t>(shape.size[i]);
    return out;
}

struct Logger
{
    Function const* table;
};
inline void complain(Logger* logger, std::string const& text)
{
    using Log = void (*)(Logger*, int32_t, char const*);
    std::thread([&] { reinterpret_cast<Log>(logger->table[SLOT_ILogger_log])(logger, 1, text.c_str()); }).join();
}
