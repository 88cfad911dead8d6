//! As much HTTP as asking a node for its metrics and its pages takes.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// Every answer of a node on this machine fits in this time, or the node hangs.
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks for `path`; returns the status code and the body.
///
/// # Errors
/// When nobody answers, or not in HTTP.
pub fn get(address: SocketAddr, path: &str) -> io::Result<(u16, String)> {
    let (status, _, body) = exchange(address, "GET", path, &[], "")?;
    Ok((status, body))
}

/// Asks for `path` with `headers`, whole lines; a `Host` among them takes the place of the address. Returns the status
/// code and the body.
///
/// # Errors
/// When nobody answers, or not in HTTP.
pub fn get_with(address: SocketAddr, path: &str, headers: &[&str]) -> io::Result<(u16, String)> {
    let (status, _, body) = exchange(address, "GET", path, headers, "")?;
    Ok((status, body))
}

/// Sends a form; returns the status code, the head and the body of the answer. `headers` are as above.
///
/// # Errors
/// When nobody answers, or not in HTTP.
pub fn post(
    address: SocketAddr,
    path: &str,
    headers: &[&str],
    form: &str,
) -> io::Result<(u16, String, String)> {
    exchange(address, "POST", path, headers, form)
}

fn exchange(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[&str],
    form: &str,
) -> io::Result<(u16, String, String)> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut request = format!("{method} {path} HTTP/1.0\r\nConnection: close\r\n");
    if !headers.iter().any(|header| header.starts_with("Host:")) {
        request.push_str(&format!("Host: {address}\r\n"));
    }
    for header in headers {
        request.push_str(&format!("{header}\r\n"));
    }
    if method == "POST" {
        request.push_str("Content-Type: application/x-www-form-urlencoded\r\n");
        request.push_str(&format!("Content-Length: {}\r\n", form.len()));
    }
    write!(stream, "{request}\r\n{form}")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let status = answer
        .split_whitespace()
        .nth(1)
        .and_then(|code| code.parse().ok())
        .ok_or_else(|| io::Error::other("not an HTTP answer"))?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    Ok((status, head.to_owned(), body.to_owned()))
}

/// The sum of all samples of `name` whose labels contain every one of `labels`
/// (as `domain="example.com"`); `None` when there is no such sample.
#[must_use]
pub fn metric(text: &str, name: &str, labels: &[&str]) -> Option<f64> {
    text.lines()
        .filter_map(|line| line.strip_prefix(name))
        .filter(|rest| rest.starts_with([' ', '{']))
        .filter(|rest| labels.iter().all(|label| rest.contains(label)))
        .filter_map(|rest| rest.rsplit(' ').next()?.parse::<f64>().ok())
        .reduce(|sum, sample| sum + sample)
}

#[cfg(test)]
mod tests {
    use super::metric;

    const TEXT: &str = "# TYPE layover_queue_messages gauge\n\
        layover_queue_messages{domain=\"a.test\",state=\"waiting\"} 3\n\
        layover_queue_messages{domain=\"a.test\",state=\"held\"} 1\n\
        layover_queue_messages_more 9\n\
        layover_raft_is_leader 1\n";

    #[test]
    fn samples_of_a_name_are_summed_over_the_labels_asked_for() {
        assert_eq!(metric(TEXT, "layover_queue_messages", &[]), Some(4.0));
        assert_eq!(
            metric(TEXT, "layover_queue_messages", &["state=\"held\""]),
            Some(1.0)
        );
        assert_eq!(metric(TEXT, "layover_raft_is_leader", &[]), Some(1.0));
        assert_eq!(metric(TEXT, "layover_raft_term", &[]), None);
    }
}
