//! Whatever a peer sends is understood or refused.

use std::{fs, path::PathBuf};

use api::peer::v1 as pb;
use prost::Message;

use super::{append, change, client, receive, service, snapshot};
use crate::codec;

/// What `fuzz/` keeps for this. Cargo runs tests in their package's folder.
fn corpus() -> Vec<(PathBuf, Vec<u8>)> {
    let files = fs::read_dir("../../fuzz/corpus/peer_message").unwrap();
    let paths = files.map(|file| file.unwrap().path());
    paths
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect()
}

fn decoded<M: Message + Default>(octets: &[u8]) -> Option<M> {
    M::decode(octets).ok()
}

/// What stands in the log means the same when it is written again.
fn take_commands(octets: &[u8]) {
    if let Some(request) = decoded::<pb::AppendRequest>(octets) {
        append::acknowledgements_of(&request).for_each(drop);
        let entries = append::request_from(request).map_or_else(|_| vec![], |it| it.entries);
        for entry in entries {
            let again = codec::entry_from(codec::entry_to(entry.clone()));
            assert_eq!(again.unwrap(), entry);
        }
    }
    let request: Option<pb::ProposeRequest> = decoded(octets);
    let commands = request.into_iter().flat_map(|request| request.commands);
    for command in commands.flat_map(codec::command_from) {
        let again = codec::command_from(codec::command_to(command.clone()));
        assert_eq!(again.unwrap(), command);
    }
}

fn take_requests(octets: &[u8]) {
    drop(decoded(octets).map(|request| service::vote_request_from(1, request)));
    drop(decoded(octets).map(change::request_from));
    let chunk: Option<pb::SnapshotChunk> = decoded(octets);
    match chunk.and_then(|chunk| chunk.kind) {
        Some(pb::snapshot_chunk::Kind::Header(header)) => drop(receive::announced(header, 1)),
        Some(pb::snapshot_chunk::Kind::Part(part)) => drop(codec::part_from(part)),
        None => {}
    }
}

fn take_answers(octets: &[u8]) {
    drop(decoded(octets).map(append::answer_from));
    drop(decoded(octets).map(client::vote_response_from));
    drop(decoded(octets).map(change::answer_from));
    drop(decoded(octets).map(snapshot::held_from));
    drop(decoded(octets).map(codec::digest_from));
    let response: Option<pb::ProposeResponse> = decoded(octets);
    for proposed in response.into_iter().flat_map(|response| response.results) {
        if let Some(pb::proposed::Result::Outcome(outcome)) = proposed.result {
            drop(codec::outcome_from(outcome));
        }
    }
}

fn take(octets: &[u8]) {
    take_commands(octets);
    take_requests(octets);
    take_answers(octets);
}

#[test]
fn whatever_octets_a_peer_sends_are_understood_or_refused() {
    let corpus = corpus();
    assert!(corpus.len() >= 40);
    for (path, octets) in corpus {
        // Shown when something breaks.
        println!("{}", path.display());
        take(&octets);
        for at in 0..octets.len() {
            take(&octets[..at]);
            for other in [0x00, 0x01, 0x7f, 0x80, 0xff] {
                let mut damaged = octets.clone();
                damaged[at] = other;
                take(&damaged);
            }
        }
    }
}
