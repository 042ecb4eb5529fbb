//! Peers that mean harm, on both ends of every descriptor: clients of a stage, holders of what it hands out, servers
//! that lie to readers. All against the real executable, with raw sockets and hand-made memory.

mod clients;
mod crowds;
mod descriptors;
mod forge;
mod honest;
mod leasing;
mod liars;
mod rings;
mod viewer;
mod visitors;
mod wire;
