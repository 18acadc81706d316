//! The `covey` command: a node (`covey up`), and the client that talks to it.
//!
//! Data goes to stdout and everything else to stderr. Exit codes: 0 done, 1 failed, 2 usage, 3 no node
//! running, 4 not allowed, 130 interrupted. All commands but `up`, `init`, `restore`, `config`, `completions`
//! and `version` are clients of the running node's HTTP API and touch nothing of its files but `api.json`; `backup`
//! opens the home itself when no node runs.

mod args;
mod client;
mod commands;
mod config;
mod demo;
mod diag;
mod output;
mod progress;
mod settings;
mod unlock;
mod up;
mod words;

use std::process::ExitCode;

use tokio::runtime::{Builder, Runtime};

use crate::{
    args::{Args, Command},
    diag::Failure,
    output::Out,
};

fn main() -> ExitCode {
    let args = Args::read();
    let out = Out::new(args.json, args.quiet);
    match run(args, &out) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(&out),
    }
}

fn run(args: Args, out: &Out) -> Result<(), Failure> {
    let runtime = runtime(&args.command)?;
    let result = runtime.block_on(async {
        // A node handles its own signals: for it an interrupt is the normal end.
        if let Command::Up(up) = &args.command {
            return up::run(&args, up, out).await;
        }
        // The signal first: a command may ask for a passphrase before it ever waits, and being killed at the prompt
        // would leave the terminal without echo.
        tokio::select! {
            biased;
            _ = tokio::signal::ctrl_c() => Err(Failure::interrupted()),
            result = commands::run(&args, out) => result,
        }
    });
    // A thread may sit in a read of a terminal; the process doesn't wait for it.
    runtime.shutdown_background();
    result
}

fn runtime(command: &Command) -> Result<Runtime, Failure> {
    let mut builder = match command {
        Command::Up(_) => Builder::new_multi_thread(),
        _ => Builder::new_current_thread(),
    };
    builder
        .enable_all()
        .build()
        .map_err(|error| Failure::failed("the async runtime could not start").because(error))
}
