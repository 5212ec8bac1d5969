//! What the examples share, so that each is about its pool: how they take their arguments, and how
//! they end.

#![allow(dead_code, reason = "no example needs all of it")]
#![forbid(unsafe_code)]

use std::error::Error;
use std::ffi::OsString;
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

use lexopt::prelude::*;

/// The name of the example.
const NAME: &str = env!("CARGO_CRATE_NAME");

/// What stands after the program's name. `None` if help was asked for; it is on stdout then.
pub(crate) fn arguments(help: &str) -> Result<Option<Vec<OsString>>, Box<dyn Error>> {
    let mut values = Vec::new();
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => {
                io::stdout().write_all(help.as_bytes())?;
                return Ok(None);
            }
            Value(value) => values.push(value),
            option => return Err(option.unexpected().into()),
        }
    }
    Ok(Some(values))
}

/// Bad arguments.
pub(crate) fn misused(why: impl Into<String>) -> Box<dyn Error> {
    Box::new(lexopt::Error::from(why.into()))
}

/// The exit code: 2 for an error, which is told on stderr. A reader of the output that has seen
/// enough, such as `head`, is none.
pub(crate) fn exit(outcome: Result<ExitCode, Box<dyn Error>>) -> ExitCode {
    let error = match outcome {
        Ok(code) => return code,
        Err(error) => error,
    };
    if let Some(error) = error.downcast_ref::<io::Error>()
        && error.kind() == ErrorKind::BrokenPipe
    {
        return ExitCode::SUCCESS;
    }
    eprintln!("{NAME}: {error}");
    if error.is::<lexopt::Error>() {
        eprintln!("Try '{NAME} --help'.");
    }
    ExitCode::from(2)
}
