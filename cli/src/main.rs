//! `hanja`: one executable for the supervisor, the three stages and the tools. This file only maps errors to exit
//! codes: 0 done, 1 failed (one line on standard error says why and what to do), 2 wrong usage (clap's); a stage under a
//! service manager has one more, see `stage`.

#![forbid(unsafe_code)]

mod args;
mod bench;
mod check;
mod detect;
mod doctor;
mod engine;
mod run;
mod stage;
mod status;
mod tap;
mod top;
mod trace;

use args::{Cli, Command};
use clap::{CommandFactory, Parser};
use std::io;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match dispatch(cli) {
        Ok(code) => code,
        // `hanja tap … | head`: the reader has enough, which is no failure.
        Err(e) if is_broken_pipe(&e) => ExitCode::SUCCESS,
        Err(e) => {
            complain(&e);
            ExitCode::FAILURE
        }
    }
}

fn dispatch(cli: Cli) -> anyhow::Result<ExitCode> {
    let global = cli.global;
    match cli.command.unwrap_or_else(|| Command::Run(Box::default())) {
        Command::Run(args) => run::run(&global, &args),
        Command::Capture(args) => stage::capture(&global, args),
        Command::Infer(args) => stage::infer(&global, args),
        Command::Render(args) => stage::render(&global, args),
        Command::Check(args) => check::check(&global, &args).map(|()| ExitCode::SUCCESS),
        Command::Tap(args) => tap::tap(&global, &args).map(|()| ExitCode::SUCCESS),
        Command::Status(args) => status::status(&global, &args),
        Command::Trace(args) => trace::trace(&global, &args).map(|()| ExitCode::SUCCESS),
        Command::Top(args) => top::top(&global, &args).map(|()| ExitCode::SUCCESS),
        Command::Detect(args) => detect::detect(&global, &args),
        Command::Doctor(args) => doctor::doctor(&global, &args).map(|()| ExitCode::SUCCESS),
        Command::Bench(args) => bench::bench(&global, &args).map(|()| ExitCode::SUCCESS),
        Command::Engine(args) => engine::engine(&global, &args),
        Command::Manual(args) => {
            args.write(&Cli::command(), "hanja.toml(5), hanja-pipeline(8)")?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// The one line on standard error. In the journal it is an error by its priority.
fn complain(e: &anyhow::Error) {
    let priority = if hanja_stage::logging::stderr_is_journal() {
        "<3>"
    } else {
        ""
    };
    eprintln!("{priority}hanja: {}", one_line(e));
}

fn is_broken_pipe(e: &anyhow::Error) -> bool {
    e.chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|io| io.kind() == io::ErrorKind::BrokenPipe)
}

/// The whole chain of causes without line breaks, each cause said once.
fn one_line(e: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in e.chain() {
        let cause = cause.to_string().replace('\n', " ");
        if !text.contains(&cause) {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(&cause);
        }
    }
    text
}
