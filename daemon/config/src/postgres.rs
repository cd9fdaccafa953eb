//! The URL of a PostgreSQL database, as libpq writes it, but stricter: no password in it, and over a network only TLS
//! that checks the server's name.

use std::{net::IpAddr, path::PathBuf};

use super::{
    kind::{Kind, Problem, Value, quoted, wrong_type},
    mistake::quote,
};

/// Where a database is and how it is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Postgres {
    /// Role that connects.
    pub user: String,
    /// Name of the database.
    pub database: String,
    /// Servers, tried in this order; at least one.
    pub hosts: Vec<Host>,
    /// None: plain, to this machine alone.
    pub tls: Option<PostgresTls>,
    text: String,
}

/// A server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// A name or address, and a port.
    Tcp(String, u16),
    /// The directory of a Unix socket, and the port in its name.
    Unix(PathBuf, u16),
}

impl Host {
    /// Whether it is this machine.
    #[must_use]
    pub fn is_local(&self) -> bool {
        match self {
            Self::Tcp(name, _) => {
                name == "localhost" || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
            }
            Self::Unix(..) => true,
        }
    }
}

/// Files of TLS, in PEM.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PostgresTls {
    /// Authorities that sign the server's certificate; None: those of the system.
    pub root: Option<PathBuf>,
    /// The client's certificate and its key.
    pub client: Option<(PathBuf, PathBuf)>,
}

impl std::fmt::Display for Postgres {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::str::FromStr for Postgres {
    type Err = String;

    /// # Errors
    /// What is wrong with it, and the fix.
    fn from_str(text: &str) -> Result<Self, String> {
        Self::parse(text).map_err(|problem| match problem.fix {
            Some(fix) => format!("the URL {}; {fix}", problem.what),
            None => format!("the URL {}", problem.what),
        })
    }
}

impl Postgres {
    /// The same with another role.
    #[must_use]
    pub fn with_user(&self, user: &str) -> Self {
        Self { user: user.to_owned(), ..self.clone() }
    }

    /// Whether what is said to a server can be read on a network. Only to this machine it may be plain.
    #[must_use]
    pub fn is_plain_tcp(&self) -> bool {
        self.tls.is_none() && self.hosts.iter().any(|host| matches!(host, Host::Tcp(..)))
    }

    fn parse(text: &str) -> Result<Self, Problem> {
        // A password may be in it: the text is quoted nowhere.
        let rest = text.strip_prefix("postgresql://").or_else(|| text.strip_prefix("postgres://"));
        let rest = rest.ok_or_else(|| Problem::new("is no postgresql:// URL"))?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
        let (user, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
        if user.contains(':') {
            return Err(Problem::new("has a password in it, which everyone reads who reads this file").fix(
                "put the password alone into a file (mode 0600) and name that with password_file; then change it",
            ));
        }
        let user = decoded(user)?;
        if user.is_empty() {
            return Err(Problem::new("names no role")
                .fix("write it before the host: postgresql://ROLE@HOST/DATABASE"));
        }
        let database = decoded(database)?;
        if database.is_empty() {
            return Err(Problem::new("names no database")
                .fix("write it behind the host: postgresql://ROLE@HOST/DATABASE"));
        }
        let mut parameters = Parameters::default();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            parameters.take(name, decoded(value)?)?;
        }
        let mut hosts =
            hosts.split(',').filter(|host| !host.is_empty()).map(host).collect::<Result<Vec<_>, _>>()?;
        if let Some(socket) = parameters.socket.take() {
            if !hosts.is_empty() {
                return Err(Problem::new("has a host before the database and another as a parameter")
                    .fix("leave one out"));
            }
            hosts.push(Host::Unix(socket, 5432));
        }
        if hosts.is_empty() {
            return Err(Problem::new("names no host").fix(
                "write postgresql://ROLE@HOST/DATABASE, or for a socket ?host=/run/postgresql behind it",
            ));
        }
        let tls = parameters.tls(&hosts)?;
        Ok(Self { user, database, hosts, tls, text: text.to_owned() })
    }
}

#[derive(Default)]
struct Parameters {
    mode: Option<String>,
    root: Option<PathBuf>,
    cert: Option<PathBuf>,
    key: Option<PathBuf>,
    socket: Option<PathBuf>,
}

impl Parameters {
    fn take(&mut self, name: &str, value: String) -> Result<(), Problem> {
        let path = |value: &str| {
            let path = PathBuf::from(value);
            let wrong = || Problem::new(format!("has {name}={}, which is no absolute path", quote(value)));
            if path.is_absolute() { Ok(Some(path)) } else { Err(wrong()) }
        };
        match name {
            "sslmode" => self.mode = Some(value),
            "sslrootcert" => self.root = path(&value)?,
            "sslcert" => self.cert = path(&value)?,
            "sslkey" => self.key = path(&value)?,
            "host" => self.socket = path(&value)?,
            // There is nothing that a server which only reads could be asked for.
            "target_session_attrs" if value == "read-write" || value == "primary" => {}
            "target_session_attrs" => {
                return Err(Problem::new(format!("has {name}={}, but the gateway writes", quote(&value)))
                    .fix("write target_session_attrs=read-write, or leave it out: that is what is done"));
            }
            "password" | "passfile" => {
                return Err(Problem::new(format!("has {name}, which is not read from here"))
                    .fix("name a file with the password alone with password_file"));
            }
            _ => {
                return Err(Problem::new(format!("has the parameter {}, which is not known", quote(name)))
                    .fix("known are sslmode, sslrootcert, sslcert, sslkey, target_session_attrs and host (of a socket)"));
            }
        }
        Ok(())
    }

    fn tls(self, hosts: &[Host]) -> Result<Option<PostgresTls>, Problem> {
        let far = hosts.iter().find(|host| !host.is_local());
        let mode = self.mode.as_deref();
        match (mode, far) {
            (Some("verify-full"), _) => {}
            (Some("disable") | None, None) => return Ok(None),
            (_, Some(_)) => {
                let what = mode
                    .map_or("is without sslmode".to_owned(), |mode| format!("has sslmode={}", quote(mode)));
                return Err(Problem::new(format!("{what}, and not every host is this machine: who stands between reads and changes everything"))
                    .fix("write sslmode=verify-full, with sslrootcert=FILE if the authority is your own"));
            }
            (Some(mode), None) => {
                return Err(Problem::new(format!(
                    "has sslmode={}, which does not check whom it speaks to",
                    quote(mode)
                ))
                .fix("write sslmode=verify-full, or sslmode=disable to this machine"));
            }
        }
        let client = match (self.cert, self.key) {
            (Some(cert), Some(key)) => Some((cert, key)),
            (None, None) => None,
            _ => return Err(Problem::new("has one of sslcert and sslkey").fix("give both, or none")),
        };
        Ok(Some(PostgresTls { root: self.root, client }))
    }
}

fn host(text: &str) -> Result<Host, Problem> {
    let wrong = || Problem::new(format!("has the host {}, which is none", quote(text)));
    let (name, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']').ok_or_else(wrong)?;
            (address, port.strip_prefix(':'))
        }
        None => text.split_once(':').map_or((text, None), |(name, port)| (name, Some(port))),
    };
    let port = port.map_or(Ok(5432), str::parse).ok().filter(|port| *port > 0).ok_or_else(wrong)?;
    let name = decoded(name)?;
    if name.starts_with('/') {
        return Ok(Host::Unix(name.into(), port));
    }
    let is_name = |c: char| c.is_ascii_alphanumeric() || ".-_:".contains(c);
    if name.is_empty() || !name.chars().all(is_name) {
        return Err(wrong());
    }
    Ok(Host::Tcp(name, port))
}

/// Without the escapes of a URL (`%2F`).
fn decoded(text: &str) -> Result<String, Problem> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let (left, byte) = match (first, tail) {
            (b'%', [a, b, tail @ ..]) => {
                let digits =
                    [*a, *b].map(|digit| char::from(digit).to_digit(16).and_then(|d| u8::try_from(d).ok()));
                let [Some(a), Some(b)] = digits else { return Err(escape()) };
                (tail, a << 4 | b)
            }
            (b'%', _) => return Err(escape()),
            _ => (tail, *first),
        };
        bytes.push(byte);
        rest = left;
    }
    let text = String::from_utf8(bytes).map_err(|_| escape())?;
    if text.chars().any(char::is_control) { Err(Problem::new("has control characters")) } else { Ok(text) }
}

fn escape() -> Problem {
    Problem::new("has an escape (%) that is none").fix("write %25 for a percent sign")
}

/// The database, or empty for none.
#[derive(Debug, Clone, Copy)]
pub(super) struct PostgresUrl;

impl Kind<Option<Postgres>> for PostgresUrl {
    fn read(&self, value: &Value<'_>) -> Result<Option<Postgres>, Vec<Problem>> {
        match value.get_ref().as_str() {
            Some("") => Ok(None),
            Some(text) => Postgres::parse(text).map(Some).map_err(|problem| vec![problem]),
            None => wrong_type(value.get_ref(), "a URL").one(),
        }
    }

    fn show(&self, value: &Option<Postgres>) -> String {
        quoted(value.as_ref().map_or("", |url| &url.text))
    }

    fn accepted(&self) -> String {
        "a URL without a password, such as \"postgresql://aivonx@db1,db2:5433/aivonx?sslmode=verify-full&sslrootcert=/etc/aivonx/db.pem\" \
         or \"postgresql://aivonx@/aivonx?host=/run/postgresql\"; \"\" for none"
            .into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_roles_and_files_are_read() {
        let url = Postgres::parse(
            "postgresql://ai%40x@db1,[2001:db8::1]:5433/a%2Fb?target_session_attrs=read-write&sslmode=verify-full&sslrootcert=/ca.pem&sslcert=/c&sslkey=/k",
        )
        .unwrap();
        assert_eq!((&*url.user, &*url.database), ("ai@x", "a/b"));
        assert_eq!(url.hosts, [Host::Tcp("db1".into(), 5432), Host::Tcp("2001:db8::1".into(), 5433)]);
        let client = Some(("/c".into(), "/k".into()));
        assert_eq!(url.tls, Some(PostgresTls { root: Some("/ca.pem".into()), client }));
        let url = Postgres::parse("postgresql://a@/a?host=/run/postgresql").unwrap();
        assert_eq!((&url.hosts[..], &url.tls), (&[Host::Unix("/run/postgresql".into(), 5432)][..], &None));
        for local in ["localhost", "127.0.0.1:1", "[::1]", "%2Frun:5"] {
            let url = Postgres::parse(&format!("postgres://a@{local}/a")).unwrap();
            assert!(url.tls.is_none() && url.hosts[0].is_local(), "{local}");
        }
    }

    #[test]
    fn only_tls_that_checks_the_name_goes_over_a_network() {
        for mode in ["", "?sslmode=disable", "?sslmode=prefer", "?sslmode=require", "?sslmode=verify-ca"] {
            let problem = Postgres::parse(&format!("postgresql://a@localhost,db1/a{mode}")).unwrap_err();
            assert!(problem.fix.unwrap().contains("sslmode=verify-full"), "{mode}");
        }
        for mode in ["prefer", "require", "verify-ca", "full"] {
            assert!(
                Postgres::parse(&format!("postgresql://a@localhost/a?sslmode={mode}")).is_err(),
                "{mode}"
            );
        }
    }

    #[test]
    fn what_is_wrong_is_said_without_the_password() {
        for wrong in [
            "postgresql://a:geheim@db1/a",
            "postgresql://:geheim@db1/a?sslmode=verify-full",
            "mysql://a:geheim@db1/a",
            "postgresql://a@db1/a?password=geheim",
            "postgresql://a@/a",
            "postgresql://db1/a",
            "postgresql://a@db1:0/a",
            "postgresql://a@db1:x/a",
            "postgresql://a@[::1/a",
            "postgresql://a@localhost/",
            "postgresql://a%4@localhost/a",
            "postgresql://a%zz@localhost/a",
            "postgresql://a%0a@localhost/a",
            "postgresql://a@localhost/a?sslmode=verify-full&sslcert=/c",
            "postgresql://a@localhost/a?sslrootcert=ca.pem",
            "postgresql://a@localhost/a?target_session_attrs=any",
            "postgresql://a@localhost/a?options=x",
            "postgresql://a@localhost/a?host=/run",
        ] {
            let problem = Postgres::parse(wrong).unwrap_err();
            assert!(!format!("{problem:?}").contains("geheim"), "{problem:?}");
        }
    }
}
