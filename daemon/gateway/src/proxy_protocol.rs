//! The PROXY protocol, versions 1 and 2, as far as TCP needs it: what a proxy says of the client before the first byte
//! of that (<https://www.haproxy.org/download/2.8/doc/proxy-protocol.txt>).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use tokio::{io::AsyncReadExt as _, net::TcpStream};

/// How version 2 begins.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// Bytes of a header of version 2 before its addresses.
const FIXED: usize = 16;

/// Shortest and longest line of version 1, its end included.
const SHORTEST: usize = b"PROXY UNKNOWN\r\n".len();
const LINE: usize = 107;

/// Most bytes of addresses and extensions of version 2 that are taken.
const MOST: usize = 2048;

/// What a header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// The client's address.
    Client(IpAddr),
    /// The proxy speaks for itself, or of something that is no TCP over IP.
    Itself,
}

/// What a beginning of a header comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Parsed {
    /// A header of so many bytes.
    Whole(Source, usize),
    /// So many bytes are needed at least.
    More(usize),
    /// No header.
    Not,
}

/// Takes the header off a connection; None if there is none, or none that can be read.
pub(super) async fn read(stream: &mut TcpStream) -> Option<Source> {
    let mut header = Vec::with_capacity(LINE);
    loop {
        match parse(&header) {
            Parsed::Whole(source, _) => return Some(source),
            Parsed::Not => return None,
            // Never more than the header is certain to have: what follows it is the client's.
            Parsed::More(needed) => {
                let have = header.len();
                header.resize(needed, 0);
                stream.read_exact(&mut header[have..]).await.ok()?;
            }
        }
    }
}

fn parse(bytes: &[u8]) -> Parsed {
    let begins = bytes.len().min(SIGNATURE.len());
    if bytes[..begins] == SIGNATURE[..begins] && (begins > 0) {
        return version_2(bytes);
    }
    version_1(bytes)
}

fn version_1(bytes: &[u8]) -> Parsed {
    const BEGIN: &[u8] = b"PROXY ";
    let begins = bytes.len().min(BEGIN.len());
    if bytes[..begins] != BEGIN[..begins] {
        return Parsed::Not;
    }
    if !bytes.ends_with(b"\r\n") {
        let needed = (bytes.len() + 1).max(SHORTEST);
        return if needed > LINE { Parsed::Not } else { Parsed::More(needed) };
    }
    let line = std::str::from_utf8(&bytes[begins..bytes.len() - 2]).ok();
    let source = line.and_then(|line| {
        let mut words = line.split(' ');
        let family = words.next()?;
        if family == "UNKNOWN" {
            return Some(Source::Itself);
        }
        let (source, _destination) = (words.next()?, words.next()?);
        let ports = (words.next()?.parse::<u16>().ok()?, words.next()?.parse::<u16>().ok()?);
        let address = match family {
            "TCP4" => IpAddr::V4(source.parse().ok()?),
            "TCP6" => IpAddr::V6(source.parse().ok()?),
            _ => return None,
        };
        (words.next().is_none() && ports.0 > 0).then_some(Source::Client(address.to_canonical()))
    });
    source.map_or(Parsed::Not, |source| Parsed::Whole(source, bytes.len()))
}

fn version_2(bytes: &[u8]) -> Parsed {
    if bytes.len() < FIXED {
        return Parsed::More(FIXED);
    }
    let (command, family) = (bytes[12], bytes[13]);
    let length = usize::from(u16::from_be_bytes([bytes[14], bytes[15]]));
    if command >> 4 != 2 || length > MOST {
        return Parsed::Not;
    }
    let whole = FIXED + length;
    if bytes.len() < whole {
        return Parsed::More(whole);
    }
    let addresses = &bytes[FIXED..whole];
    let source = match (command & 0xf, family) {
        (0, _) => Source::Itself,
        (1, 0x11) => match addresses.first_chunk::<12>() {
            Some([a, b, c, d, ..]) => Source::Client(Ipv4Addr::new(*a, *b, *c, *d).into()),
            None => return Parsed::Not,
        },
        (1, 0x21) => match (addresses.first_chunk::<16>(), addresses.len()) {
            (Some(source), 36..) => Source::Client(Ipv6Addr::from(*source).to_canonical()),
            _ => return Parsed::Not,
        },
        // Datagrams and Unix sockets: nothing that has an address for us.
        (1, _) => Source::Itself,
        _ => return Parsed::Not,
    };
    Parsed::Whole(source, whole)
}

/// Reads a header as far as it goes: no byte behind it is asked for, and a beginning always leads on or ends.
#[cfg(any(test, feature = "testing"))]
pub(super) fn fuzz(bytes: &[u8]) {
    let mut have = 0;
    while have <= bytes.len() {
        match parse(&bytes[..have]) {
            Parsed::More(more) => {
                assert!(more > have && more <= FIXED + MOST, "{more} after {have}");
                have = more;
            }
            Parsed::Whole(_, whole) => return assert_eq!(whole, have),
            Parsed::Not => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::{
        io::AsyncWriteExt as _,
        net::{TcpListener, TcpStream},
    };

    use super::*;

    fn two(command: u8, family: u8, addresses: &[u8]) -> Vec<u8> {
        let length = u16::try_from(addresses.len()).unwrap().to_be_bytes();
        [&SIGNATURE[..], &[0x20 | command, family], &length, addresses].concat()
    }

    fn client(address: &str) -> Source {
        Source::Client(address.parse().unwrap())
    }

    /// The header of a connection that begins so, and what is left of it.
    async fn after(bytes: &[u8]) -> (Option<Source>, Vec<u8>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut sender = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut stream, _) = listener.accept().await.unwrap();
        sender.write_all(bytes).await.unwrap();
        sender.shutdown().await.unwrap();
        let source = read(&mut stream).await;
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.unwrap();
        (source, rest)
    }

    #[tokio::test]
    async fn the_client_is_read_and_what_follows_is_left() {
        let v6 = ["2001:db8::1", "2001:db8::2"].map(|a| a.parse::<Ipv6Addr>().unwrap().octets());
        for (header, source) in [
            (b"PROXY TCP4 192.0.2.1 10.0.0.1 5000 443\r\n".to_vec(), client("192.0.2.1")),
            (b"PROXY TCP6 2001:db8::1 ::1 1 2\r\n".to_vec(), client("2001:db8::1")),
            (b"PROXY TCP6 ::ffff:192.0.2.1 ::1 1 2\r\n".to_vec(), client("192.0.2.1")),
            (b"PROXY UNKNOWN\r\n".to_vec(), Source::Itself),
            (b"PROXY UNKNOWN ffff::1 ffff::1 65535 65535\r\n".to_vec(), Source::Itself),
            (two(1, 0x11, &[192, 0, 2, 1, 10, 0, 0, 1, 1, 2, 3, 4]), client("192.0.2.1")),
            (two(1, 0x11, &[[192, 0, 2, 1].as_slice(), &[7; 60]].concat()), client("192.0.2.1")),
            (two(1, 0x21, &[&v6[0][..], &v6[1], &[0; 4]].concat()), client("2001:db8::1")),
            (two(0, 0x00, &[]), Source::Itself),
            (two(1, 0x31, &[0; 216]), Source::Itself),
        ] {
            let (found, rest) = after(&[&header[..], b"GET / HTTP/1.1\r\n"].concat()).await;
            assert_eq!((found, &rest[..]), (Some(source), &b"GET / HTTP/1.1\r\n"[..]), "{header:?}");
        }
    }

    #[tokio::test]
    async fn what_is_no_header_is_not_taken_for_one() {
        for bytes in [
            &b"GET / HTTP/1.1\r\n"[..],
            b"PROXY TCP4 192.0.2.1 10.0.0.1 5000\r\n",
            b"PROXY TCP4 192.0.2.1 10.0.0.1 5000 443 9\r\n",
            b"PROXY TCP4 2001:db8::1 10.0.0.1 5000 443\r\n",
            b"PROXY TCP4 192.0.2.1 10.0.0.1 99999 443\r\n",
            b"PROXY TCP5 192.0.2.1 10.0.0.1 5000 443\r\n",
            b"PROXY  TCP4 192.0.2.1 10.0.0.1 5000 443\r\n",
            b"proxy TCP4 192.0.2.1 10.0.0.1 5000 443\r\n",
            b"PROXY TCP4 192.0.2.1",
            &[b"PROXY ".as_slice(), &[b'x'; 200]].concat(),
            &two(1, 0x11, &[1, 2, 3]),
            &two(1, 0x21, &[0; 20]),
            &two(2, 0x11, &[0; 12]),
            &[&SIGNATURE[..], &[0x11, 0x11, 0, 12], &[0; 12]].concat(),
            &[&SIGNATURE[..], &[0x21, 0x11, 0xff, 0xff]].concat(),
            &SIGNATURE[..],
            b"",
        ] {
            assert_eq!(after(bytes).await.0, None, "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn a_header_is_found_in_bounded_steps(mut bytes: Vec<u8>, kind in 0..3, length: u16) {
            let prefix = match kind {
                0 => b"PROXY TCP4 ".to_vec(),
                1 => [&SIGNATURE[..], &[0x21, 0x11], &length.to_be_bytes()].concat(),
                _ => Vec::new(),
            };
            bytes.splice(..0, prefix);
            fuzz(&bytes);
        }
    }
}
