//! Replies of a server.

use bytes::BytesMut;
use smtp::{
    Reply,
    reply::{Parser, REPLY_LINE_MAX, REPLY_MAX, ReplyError},
};

use crate::segments::{Cut, Sent};

/// Replies are the same however they arrive, may stand in a log, and read the same when they are
/// written again.
pub fn reply(data: &[u8]) {
    let Some(sent) = Sent::read(data) else {
        return;
    };
    let [whole, single, cut] = sent.cuts().map(|cut| read(&sent, cut));
    assert_eq!(single, whole, "octet by octet");
    assert_eq!(cut, whole, "cut as the input says");
    for reply in &whole.0 {
        assert!(!reply.to_string().contains(char::is_control), "{reply:?}");
        reads_the_same(reply);
    }
}

/// The replies, and what is wrong behind them.
fn read(sent: &Sent<'_>, mut cut: Cut<'_>) -> (Vec<Reply>, Option<ReplyError>) {
    let mut parser = Parser::default();
    let mut replies = Vec::new();
    for segment in sent.turns().flat_map(|turn| cut.segments(turn)) {
        let mut rest = segment;
        while !rest.is_empty() {
            match parser.advance(rest) {
                Ok((used, reply)) => {
                    assert!(reply.is_none() || used > 0);
                    replies.extend(reply);
                    rest = &rest[used..];
                }
                Err(error) => return (replies, Some(error)),
            }
        }
    }
    (replies, None)
}

/// Unless what stands for octets that are no UTF-8 makes it too long.
fn reads_the_same(reply: &Reply) {
    let mut written = BytesMut::new();
    reply.write_to(&mut written);
    let mut lines = written.split_inclusive(|octet| *octet == b'\n');
    if written.len() > REPLY_MAX || lines.any(|line| line.len() > REPLY_LINE_MAX) {
        return;
    }
    let read = Parser::default().advance(&written);
    assert_eq!(read, Ok((written.len(), Some(reply.clone()))));
}
