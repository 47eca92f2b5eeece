//! `--config FILE`: every flag of a command as a key of a TOML file; flags on the command line win.

use super::Cli;
use clap::{
    ArgAction, CommandFactory,
    error::{ContextKind, ContextValue},
};
use rosa_kernels::error::{Error, Result};
use std::{
    ffi::{OsStr, OsString},
    fs,
    path::PathBuf,
};

/// The file that `--config` names, and the keys in it that became flags.
pub(super) struct ConfigFile {
    path: PathBuf,
    keys: Vec<String>,
}

impl ConfigFile {
    /// Where the flag that this error is about was given, if in the file.
    pub(super) fn origin_of(&self, usage: &clap::Error) -> Option<String> {
        let Some(ContextValue::String(flag)) = usage.get(ContextKind::InvalidArg) else { return None };
        let key = self.keys.iter().find(|key| is_flag(flag.split(' ').next().unwrap_or_default(), key))?;
        Some(format!("\n--{key} is given in {}.", self.path.display()))
    }
}

/// `args` with the keys of the file that `--config` names put in front of the other flags, as flags. A flag given
/// in both places counts as given on the command line alone.
pub(super) fn with_config_file(args: Vec<OsString>) -> Result<(Vec<OsString>, Option<ConfigFile>)> {
    let (Some(path), Some(name)) = (config_file(&args), args.get(1)) else { return Ok((args, None)) };
    let cli = Cli::command();
    let Some(command) = cli.find_subcommand(name) else { return Ok((args, None)) };

    let text = fs::read_to_string(&path).map_err(Error::io("read", &path))?;
    let table: toml::Table = text.parse().map_err(|e: toml::de::Error| {
        let line = e.span().map_or(1, |span| text[..span.start].matches('\n').count() + 1);
        Error::format(&path, format!("line {line}"), e.message(), "TOML")
    })?;
    let mut from_file: Vec<OsString> = Vec::new();
    let mut keys = Vec::new();
    for (key, value) in table {
        let wrong = |found: String, expected: &str| Error::format(&path, &key, found, expected);
        let known = command.get_arguments().find(|arg| arg.get_long() == Some(&key) && key != "config");
        let flag = known
            .ok_or_else(|| wrong("an unknown key".to_owned(), "the name of a flag, without its dashes"))?;
        if args.iter().any(|arg| is_flag(arg, &key)) || excluded_by(flag, command, &args) {
            continue;
        }
        let name = format!("--{key}");
        match (flag.get_action(), value) {
            (ArgAction::SetTrue, toml::Value::Boolean(on)) => from_file.extend(on.then(|| name.into())),
            (ArgAction::SetTrue, other) => return Err(wrong(other.to_string(), "true or false")),
            (_, toml::Value::Array(values)) => {
                for value in values {
                    from_file.extend([name.clone().into(), scalar(&value).into()]);
                }
            }
            (_, toml::Value::Table(_)) => return Err(wrong("a table".to_owned(), "a value")),
            (_, value) => from_file.push(format!("{name}={}", scalar(&value)).into()),
        }
        keys.push(key);
    }
    let mut all = args[..2].to_vec();
    all.extend(from_file);
    all.extend_from_slice(&args[2..]);
    Ok((all, Some(ConfigFile { path, keys })))
}

/// The file that `--config FILE` or `--config=FILE` names.
fn config_file(args: &[OsString]) -> Option<PathBuf> {
    let at = args.iter().position(|arg| is_flag(arg, "config"))?;
    match args[at].to_str()?.split_once('=') {
        Some((_, path)) => Some(path.into()),
        None => args.get(at + 1).map(PathBuf::from),
    }
}

/// Whether `arg` is `--key` or `--key=…`.
fn is_flag(arg: impl AsRef<OsStr>, key: &str) -> bool {
    let rest =
        arg.as_ref().to_str().and_then(|arg| arg.strip_prefix("--")).and_then(|arg| arg.strip_prefix(key));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
}

/// Whether a flag on the command line excludes this one, as `--steps` does `--epochs`.
fn excluded_by(flag: &clap::Arg, command: &clap::Command, args: &[OsString]) -> bool {
    let given =
        |other: &clap::Arg| other.get_long().is_some_and(|long| args.iter().any(|arg| is_flag(arg, long)));
    let conflicts = command.get_arg_conflicts_with(flag);
    conflicts.into_iter().any(given)
        || command.get_arguments().filter(|other| given(other)).any(|other| {
            command.get_arg_conflicts_with(other).iter().any(|arg| arg.get_id() == flag.get_id())
        })
}

fn scalar(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
