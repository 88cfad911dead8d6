//! Holds `docs/json.md` to the arguments and to `proto/`, and the documents to it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use api::admin::v1 as admin;
use clap::{Command, CommandFactory as _};
use prost::Message as _;
use prost_types::{
    DescriptorProto, FieldDescriptorProto, FileDescriptorSet,
    field_descriptor_proto::{Label, Type},
};
use serde::Serialize;

use crate::arguments::Arguments;

/// The page's tables, by their first column.
fn page() -> (BTreeMap<String, String>, BTreeMap<String, String>) {
    // Cargo runs tests in their package's folder.
    let text = fs::read_to_string("../../docs/json.md").unwrap();
    let (commands, fields) = text.split_once("## Fields").unwrap();
    (rows(commands), rows(fields))
}

/// `` | `status` | words | ``.
fn rows(text: &str) -> BTreeMap<String, String> {
    let rows = text.lines().filter_map(|line| {
        let (name, words) = line.strip_prefix("| `")?.split_once("` | ")?;
        Some((name.to_owned(), words.strip_suffix(" |")?.to_owned()))
    });
    rows.collect()
}

/// What stands between backquotes and is the name of a message.
fn messages_in(words: &str) -> impl Iterator<Item = &str> {
    let quoted = words.split('`').skip(1).step_by(2);
    quoted.filter(|word| word.starts_with(char::is_uppercase))
}

/// Every message of the admin service, those inside of others too.
fn messages() -> BTreeMap<String, DescriptorProto> {
    let set = FileDescriptorSet::decode(api::ADMIN_DESCRIPTORS).unwrap();
    let files = set.file.into_iter();
    let mut left: Vec<DescriptorProto> = files
        .filter(|file| file.package().starts_with("layover.admin."))
        .flat_map(|file| file.message_type)
        .collect();
    let mut messages = BTreeMap::new();
    while let Some(message) = left.pop() {
        left.extend(message.nested_type.iter().cloned());
        messages.insert(message.name().to_owned(), message);
    }
    messages
}

/// `` `since_ms` number or null ``.
fn words(field: &FieldDescriptorProto) -> String {
    let kind = match field.r#type() {
        Type::String => "text".to_owned(),
        Type::Bool => "true or false".to_owned(),
        Type::Uint32 | Type::Uint64 | Type::Double => "number".to_owned(),
        Type::Message => {
            let (_, name) = field.type_name().rsplit_once('.').unwrap();
            format!("`{name}`")
        }
        other => panic!(
            "{}: say in docs/json.md how {other:?} is written",
            field.name()
        ),
    };
    let is_list = field.label() == Label::Repeated;
    let may_be_absent = field.proto3_optional() || field.r#type() == Type::Message;
    match (is_list, may_be_absent) {
        (true, _) => format!("`{}` list of {kind}", field.name()),
        (false, true) => format!("`{}` {kind} or null", field.name()),
        (false, false) => format!("`{}` {kind}", field.name()),
    }
}

#[test]
fn every_command_says_what_it_prints() {
    fn leaves(of: &Command, path: &str, found: &mut BTreeSet<String>) {
        for command in of.get_subcommands() {
            let path = format!("{path} {}", command.get_name());
            if command.has_subcommands() {
                leaves(command, &path, found);
            } else {
                found.insert(path.trim_start().to_owned());
            }
        }
    }
    let mut commands = BTreeSet::new();
    leaves(&Arguments::command(), "", &mut commands);
    let told: BTreeSet<String> = page().0.into_keys().collect();
    assert_eq!(told, commands, "docs/json.md on the left");
}

#[test]
fn every_field_is_documented() {
    let (commands, told) = page();
    let messages = messages();
    let mut expected = BTreeMap::new();
    let mut left: Vec<&str> = commands
        .values()
        .flat_map(|words| messages_in(words))
        .collect();
    while let Some(name) = left.pop() {
        let message = messages
            .get(name)
            .unwrap_or_else(|| panic!("there is no {name}"));
        let fields: Vec<String> = message.field.iter().map(words).collect();
        if expected
            .insert(name.to_owned(), fields.join("; "))
            .is_none()
        {
            let inner = message
                .field
                .iter()
                .filter(|field| field.r#type() == Type::Message);
            left.extend(inner.filter_map(|field| field.type_name().rsplit('.').next()));
        }
    }
    for (name, fields) in &expected {
        let row = format!("| `{name}` | {fields} |");
        assert_eq!(
            told.get(name),
            Some(fields),
            "docs/json.md lacks the row\n{row}"
        );
    }
    let told: BTreeSet<&String> = told.keys().collect();
    assert_eq!(told, expected.keys().collect(), "docs/json.md on the left");
}

/// The fields of a document are those of its message: nothing is renamed, nothing left out.
#[test]
fn documents_have_the_fields_of_their_messages() {
    fn keys(document: &impl Serialize) -> BTreeSet<String> {
        let document = serde_json::to_value(document).unwrap();
        document.as_object().unwrap().keys().cloned().collect()
    }
    macro_rules! documents {
        ($($name:ident)*) => {
            BTreeMap::from([$((stringify!($name), keys(&admin::$name::default()))),*])
        };
    }
    let documents = documents!(
        AuditEntry ClusterSnapshotResponse ClusterStatusResponse DomainListResponse DomainPauseResponse
        DomainProbeStep DomainResumeResponse DrillStep Finding FlushResponse KnownRecipient LogLevelResponse NodeHost
        OutageListResponse PolicyApplyResponse PolicyShowResponse QueueChangeResponse QueueEntry QueueShowResponse
        QueueSummaryRow RecipientsChangeResponse ReplayProgress Replica StatusResponse TraceResponse
    );
    let messages = messages();
    for (name, keys) in &documents {
        let fields = messages[*name].field.iter();
        let fields: BTreeSet<String> = fields.map(|field| field.name().to_owned()).collect();
        assert_eq!(*keys, fields, "{name}");
    }
    let (commands, _) = page();
    let told: BTreeSet<&str> = commands
        .values()
        .flat_map(|words| messages_in(words))
        .collect();
    assert_eq!(
        told,
        documents.into_keys().collect(),
        "docs/json.md on the left"
    );
}
