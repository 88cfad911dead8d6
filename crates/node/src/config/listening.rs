//! Where a node listens: each address is for one of its services.

use std::net::SocketAddr;

use super::{fault::Fault, file::File};

/// One of the addresses, and where it is written.
struct Place {
    table: &'static str,
    address: SocketAddr,
    offset: usize,
}

/// Two services at one address: the second would not come up.
pub(super) fn check(file: &File) -> Result<(), Fault> {
    let smtp = &file.smtp.listen;
    let mut places: Vec<Place> = smtp
        .get_ref()
        .iter()
        .map(|listen| Place {
            table: "[smtp]",
            address: listen.0,
            offset: smtp.span().start,
        })
        .collect();
    let others = [
        ("[cluster]", &file.cluster.get_ref().listen),
        ("[admin]", &file.admin.listen),
        ("[http]", &file.http.listen),
    ];
    places.extend(others.map(|(table, listen)| Place {
        table,
        address: listen.get_ref().0,
        offset: listen.span().start,
    }));
    for (number, later) in places.iter().enumerate() {
        let mut before = places.iter().take(number);
        if let Some(earlier) = before.find(|earlier| clash(earlier.address, later.address)) {
            return Err(fault(earlier, later));
        }
    }
    Ok(())
}

/// Whether the system gives one of them only: they are equal, or one stands for all addresses of the other's kind.
fn clash(one: SocketAddr, other: SocketAddr) -> bool {
    let is_any = one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() != 0
        && one.port() == other.port()
        && one.is_ipv4() == other.is_ipv4()
        && (one.ip() == other.ip() || is_any)
}

fn fault(earlier: &Place, later: &Place) -> Fault {
    // A default has no place in the file.
    let at = if later.offset > 0 { later } else { earlier };
    let other = if later.offset > 0 { earlier } else { later };
    Fault {
        offset: at.offset,
        message: format!(
            "{} listen = \"{}\" is taken by {} listen = \"{}\"; give each a port of its own",
            at.table, at.address, other.table, other.address
        ),
    }
}
