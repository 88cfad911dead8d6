//! Command lines that are understood, and such that are not.

use std::time::Duration;

use clap::{CommandFactory as _, error::ErrorKind};

use super::*;

fn parsed(line: &str) -> Result<Arguments, clap::Error> {
    Arguments::try_parse_from(line.split_whitespace())
}

#[test]
fn the_definition_is_sound() {
    Arguments::command().debug_assert();
}

#[test]
fn global_flags_may_stand_before_and_behind_the_command() {
    for line in [
        "layover --json --server a:1 --server b:2 status",
        "layover status --json --server a:1,b:2",
    ] {
        let arguments = parsed(line).unwrap();
        assert!(arguments.json);
        assert_eq!(arguments.server, ["a:1", "b:2"]);
    }
}

#[test]
fn blanks_around_a_server_are_none_of_it() {
    let line = ["layover", "--server", " a:1, b:2 ", "status"];
    let arguments = Arguments::try_parse_from(line).unwrap();
    assert_eq!(arguments.server, ["a:1", "b:2"]);
}

#[test]
fn without_a_server_the_local_node_is_asked() {
    assert_eq!(parsed("layover status").unwrap().server, ["127.0.0.1:7401"]);
}

#[test]
fn the_list_takes_every_filter() {
    let line = "layover queue list --domain d --sender s --recipient r --state deferred --older 1h --limit 5";
    let Command::Queue(QueueCommand::List(List { filter, limit })) = parsed(line).unwrap().command
    else {
        panic!("another command");
    };
    assert_eq!(filter.state, Some(State::Deferred));
    assert_eq!(filter.older, Some(Duration::from_secs(3600)));
    assert_eq!((filter.domain.as_deref(), limit), (Some("d"), Some(5)));
}

#[test]
fn what_a_filter_names_is_not_empty() {
    for (option, hint) in [
        ("--sender", "the null sender is written \"<>\""),
        ("--recipient", "leave the option out"),
        ("--domain", "leave the option out"),
    ] {
        for command in ["list", "delete", "hold"] {
            let line = ["layover", "queue", command, option, ""];
            let error = Arguments::try_parse_from(line).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{line:?}");
            assert!(error.to_string().contains(hint), "{error}");
        }
    }
    assert!(parsed("layover queue list --sender <>").is_ok());
}

#[test]
fn what_is_not_there_is_a_usage_error() {
    for (line, kind) in [
        (
            "layover",
            ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand,
        ),
        ("layover queue lose x", ErrorKind::InvalidSubcommand),
        ("layover queue hold --limit 5", ErrorKind::UnknownArgument),
        ("layover queue export", ErrorKind::MissingRequiredArgument),
        ("layover domain pause", ErrorKind::MissingRequiredArgument),
        (
            "layover domain pause d --for ever",
            ErrorKind::ValueValidation,
        ),
        ("layover audit --since soon", ErrorKind::ValueValidation),
        ("layover queue show", ErrorKind::MissingRequiredArgument),
        ("layover queue list --state new", ErrorKind::InvalidValue),
        ("layover replay", ErrorKind::MissingRequiredArgument),
        ("layover replay --since noon", ErrorKind::ValueValidation),
        ("layover trace", ErrorKind::MissingRequiredArgument),
        (
            "layover queue list --older soon",
            ErrorKind::ValueValidation,
        ),
        ("layover queue list --limit 0", ErrorKind::ValueValidation),
        (
            "layover recipients list",
            ErrorKind::MissingRequiredArgument,
        ),
        (
            "layover recipients add example.com",
            ErrorKind::MissingRequiredArgument,
        ),
        (
            "layover recipients forget example.com",
            ErrorKind::MissingRequiredArgument,
        ),
        (
            "layover recipients forget example.com a --all",
            ErrorKind::ArgumentConflict,
        ),
        ("layover domain probe", ErrorKind::MissingRequiredArgument),
        ("layover cluster add 4", ErrorKind::MissingRequiredArgument),
        ("layover cluster add 0 x:1", ErrorKind::ValueValidation),
        ("layover cluster remove four", ErrorKind::ValueValidation),
        ("layover cluster promote 4", ErrorKind::InvalidSubcommand),
        (
            "layover cluster certs dir",
            ErrorKind::MissingRequiredArgument,
        ),
        (
            "layover cluster certs dir mx1:7400",
            ErrorKind::ValueValidation,
        ),
        ("layover status --frob", ErrorKind::UnknownArgument),
        ("layover backup", ErrorKind::MissingRequiredArgument),
        ("layover completions tcsh", ErrorKind::InvalidValue),
        ("layover policy apply", ErrorKind::MissingRequiredArgument),
        ("layover policy edit x", ErrorKind::InvalidSubcommand),
    ] {
        let error = parsed(line).unwrap_err();
        assert_eq!(error.kind(), kind, "{line}");
        assert_eq!(error.exit_code(), 2, "{line}");
    }
}
