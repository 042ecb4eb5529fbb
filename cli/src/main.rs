//! `hanja`: one executable for the supervisor, the three stages and the tools. This file only maps errors to exit
//! codes: 0 done, 1 failed (one line on standard error says why and what to do), 2 wrong usage (clap's).

#![forbid(unsafe_code)]

mod args;
mod bench;
mod detect;
mod doctor;
mod engine;
mod run;
mod stage;
mod tap;

use args::{Cli, Command};
use clap::Parser;
use std::io;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match dispatch(cli) {
        Ok(code) => code,
        // `hanja tap … | head`: the reader has enough, which is no failure.
        Err(e) if is_broken_pipe(&e) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("hanja: {}", one_line(&e));
            ExitCode::FAILURE
        }
    }
}

fn dispatch(cli: Cli) -> anyhow::Result<ExitCode> {
    let global = cli.global;
    match cli.command.unwrap_or_else(|| Command::Run(Box::default())) {
        Command::Run(args) => run::run(&global, &args),
        Command::Capture(args) => stage::capture(&global, &args).map(|()| ExitCode::SUCCESS),
        Command::Infer(args) => stage::infer(&global, &args).map(|()| ExitCode::SUCCESS),
        Command::Render(args) => stage::render(&global, &args).map(|()| ExitCode::SUCCESS),
        Command::Tap(args) => tap::tap(&global, &args).map(|()| ExitCode::SUCCESS),
        Command::Detect(args) => detect::detect(&global, &args),
        Command::Doctor(args) => doctor::doctor(&global, &args).map(|()| ExitCode::SUCCESS),
        Command::Bench(args) => bench::bench(&global, &args).map(|()| ExitCode::SUCCESS),
        Command::Engine(args) => engine::engine(&global, &args),
    }
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
        if !text.ends_with(&cause) {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(&cause);
        }
    }
    text
}
