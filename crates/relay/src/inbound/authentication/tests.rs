mod forged;
mod judged;
#[path = "../../../../../tests/harness/signer.rs"]
#[expect(
    unreachable_pub,
    reason = "shared with the harness, where they are public"
)]
mod signer;
mod streamed;

use bytes::BytesMut;
use sha2::{Digest as _, Sha256};
use spool::{Digest, Policy};

use super::*;
use crate::route::tests::routes_of_members;
use signer::Signer;

fn policy(lines: &str) -> Arc<Policy> {
    let domain = "[[domain]]\nname = \"example.com\"\nprimary = [\"mail.example.com\"]\n";
    Arc::new(Policy::parse(&format!("{domain}[authentication]\n{lines}\n")).unwrap())
}

/// The ids of a node mx1.example.net beside mx3.example.net while all share the id mx.example.com.
fn own_ids() -> OwnIds {
    OwnIds {
        hostname: "mx1.example.net".into(),
        shared: Some("mx.example.com".into()),
        routes: routes_of_members(&["mx1.example.net", "mx3.example.net"]),
    }
}

/// What a session makes of a message.
#[derive(Debug)]
struct Passed {
    /// What is spooled.
    spooled: Vec<u8>,
    /// What the client sent, as far as it is known.
    sent: (u64, Digest),
    gathered: Option<Gathered>,
}

/// Passes a message through a screen as an arrival does: in these pieces, each of them looked at and then
/// let go as far as that is possible.
fn pass<'a>(mut screen: Screen, pieces: impl IntoIterator<Item = &'a [u8]>) -> Passed {
    let (mut held, mut spooled, mut hasher) = (BytesMut::new(), Vec::new(), Sha256::new());
    for piece in pieces {
        held.extend_from_slice(piece);
        let before = Before {
            hasher: &hasher,
            size: spooled.len() as u64,
        };
        screen.look(&mut held, before);
        let front = held.split_to(screen.settled(held.len()));
        screen.let_go(&front);
        hasher.update(&front);
        spooled.extend_from_slice(&front);
    }
    let before = Before {
        hasher: &hasher,
        size: spooled.len() as u64,
    };
    screen.look_at_last(&mut held, before);
    screen.let_go(&held);
    spooled.extend_from_slice(&held);
    let seen = screen.finish();
    let all = (spooled.len() as u64, digest(&spooled));
    Passed {
        spooled,
        sent: seen.sent.unwrap_or(all),
        gathered: seen.gathered,
    }
}

fn digest(octets: &[u8]) -> Digest {
    Digest(Sha256::digest(octets).into())
}

fn gathering(ids: Option<OwnIds>) -> Screen {
    let mut screen = Screen::new(ids);
    screen.gather(Evidence::new(Arc::new(Semaphore::new(1))));
    screen
}
