//! What a node is reached with: the options that `node add` and `node set` share. Secrets never stand on
//! the command line, where every user of the machine could read them.

use std::{collections::BTreeMap, path::PathBuf};

use aivonx_protocol::{
    WireSecret,
    node::{Credential, NodeKind},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use clap::{Args, ValueEnum};
use zeroize::Zeroizing;

use crate::{exit::Failure, input};

/// [`NodeKind`] as clap sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// Ollama.
    Ollama,
    /// A server with the OpenAI API only.
    Openai,
}

impl Kind {
    /// The kind of a node.
    #[must_use]
    pub fn of(kind: NodeKind) -> Self {
        match kind {
            NodeKind::Ollama => Self::Ollama,
            NodeKind::Openai => Self::Openai,
        }
    }
}

impl From<Kind> for NodeKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Ollama => Self::Ollama,
            Kind::Openai => Self::Openai,
        }
    }
}

/// Options about a node. A file named `-` is standard input.
#[derive(Debug, Default, Args)]
pub struct NodeOptions {
    /// What it speaks: ollama or openai; without it the server is asked
    #[arg(long, value_enum, hide_possible_values = true)]
    pub kind: Option<Kind>,
    /// Most requests at once; 0 is no limit
    #[arg(long, value_name = "N")]
    pub max_parallel: Option<u32>,
    /// A label of your own; repeatable
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = label)]
    pub labels: Vec<(String, String)>,
    /// Assign it to this organization alone
    #[arg(long = "org", value_name = "ORG")]
    pub organization: Option<String>,
    /// PEM certificates to trust instead of the system's
    #[arg(long, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    /// Name expected in the node's certificate, if not the URL's host
    #[arg(long, value_name = "NAME")]
    pub server_name: Option<String>,
    /// File with a bearer token (- is standard input)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["basic_user", "header"])]
    pub bearer_file: Option<PathBuf>,
    /// User name for basic authentication
    #[arg(long, value_name = "USER", requires = "basic_password_file", conflicts_with = "header")]
    pub basic_user: Option<String>,
    /// File with the password for basic authentication (- is standard input)
    #[arg(long, value_name = "FILE", requires = "basic_user")]
    pub basic_password_file: Option<PathBuf>,
    /// Name of a header that authenticates (X-Api-Key)
    #[arg(long, value_name = "NAME", requires = "header_value_file")]
    pub header: Option<String>,
    /// File with that header's value (- is standard input)
    #[arg(long, value_name = "FILE", requires = "header")]
    pub header_value_file: Option<PathBuf>,
    /// Client certificate to show to it, PEM with its chain; a bearer token, password or header may go beside it
    #[arg(long, value_name = "FILE", requires = "client_key")]
    pub client_cert: Option<PathBuf>,
    /// File with that certificate's private key (- is standard input)
    #[arg(long, value_name = "FILE", requires = "client_cert")]
    pub client_key: Option<PathBuf>,
    /// Accept link-local and metadata addresses, and a node of given kind that does not answer
    #[arg(long)]
    pub force: bool,
}

impl NodeOptions {
    /// Reads the credential, if one is given.
    ///
    /// # Errors
    /// See [`input::secret`].
    pub fn credential(&self) -> Result<Option<Credential>, Failure> {
        let sent = self.sent()?;
        let (Some(chain), Some(key)) = (&self.client_cert, &self.client_key) else { return Ok(sent) };
        Ok(Some(Credential::Certificate {
            chain_pem: input::client_certificate("--client-cert", chain)?,
            key_pem: input::secret("--client-key", key)?,
            header: sent.map(header).transpose()?.flatten(),
        }))
    }

    /// What is sent with each request.
    fn sent(&self) -> Result<Option<Credential>, Failure> {
        if let Some(file) = &self.bearer_file {
            return Ok(Some(Credential::Bearer(input::secret("--bearer-file", file)?)));
        }
        if let (Some(user), Some(file)) = (&self.basic_user, &self.basic_password_file) {
            let password = input::secret("--basic-password-file", file)?;
            return Ok(Some(Credential::Basic { user: user.clone(), password }));
        }
        if let (Some(name), Some(file)) = (&self.header, &self.header_value_file) {
            let value = input::secret("--header-value-file", file)?;
            return Ok(Some(Credential::Header { name: name.clone(), value }));
        }
        Ok(None)
    }

    /// Reads the certificates, if a file is given. Call before [`Self::credential`]: this one notices if several want
    /// standard input.
    ///
    /// # Errors
    /// See [`input::certificates`].
    pub fn ca_pem(&self) -> Result<Option<String>, Failure> {
        let files = [
            ("--ca-file", &self.ca_file),
            ("--bearer-file", &self.bearer_file),
            ("--basic-password-file", &self.basic_password_file),
            ("--header-value-file", &self.header_value_file),
            ("--client-cert", &self.client_cert),
            ("--client-key", &self.client_key),
        ];
        let stdin = Some(PathBuf::from("-"));
        let mut read = files.into_iter().filter(|(_, file)| **file == stdin).map(|(option, _)| option);
        if let (Some(one), Some(other)) = (read.next(), read.next()) {
            let message = format!("{one} and {other} cannot both be read from standard input");
            return Err(Failure::usage(message).with_hint("Give at least one of them as a file."));
        }
        let Some(file) = &self.ca_file else { return Ok(None) };
        input::certificates("--ca-file", file).map(Some)
    }

    /// The labels; of one given twice the last.
    #[must_use]
    pub fn labels(&self) -> BTreeMap<String, String> {
        self.labels.iter().cloned().collect()
    }
}

/// The header that a credential is sent in. The daemon checks a bearer token and a password only where it makes the
/// header itself, so they are checked here as it does.
fn header(credential: Credential) -> Result<Option<(String, WireSecret)>, Failure> {
    let authorization = |value| Ok(Some(("Authorization".to_owned(), WireSecret::new(value))));
    match credential {
        Credential::Bearer(token) => authorization(format!("Bearer {}", sendable("--bearer-file", &token)?)),
        Credential::Basic { user, password } => {
            if user.is_empty() || user.contains(|c: char| c == ':' || c.is_control()) {
                let message =
                    format!("--basic-user {user:?} is empty or holds a colon or a control character");
                return Err(Failure::usage(message).with_hint("Give the name alone, without the password."));
            }
            let password = sendable("--basic-password-file", &password)?;
            let pair = Zeroizing::new(format!("{user}:{password}"));
            authorization(format!("Basic {}", STANDARD.encode(pair.as_bytes())))
        }
        Credential::Header { name, value } => Ok(Some((name, value))),
        Credential::None | Credential::Certificate { .. } => Ok(None),
    }
}

/// The secret without the line breaks that a file ends with.
fn sendable<'a>(option: &str, secret: &'a WireSecret) -> Result<&'a str, Failure> {
    match secret.expose().trim_end_matches(['\r', '\n']) {
        "" => {
            Err(Failure::usage(format!("{option} is empty"))
                .with_hint("Name the file that holds the secret."))
        }
        text => Ok(text),
    }
}

fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write it as KEY=VALUE".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        options: NodeOptions,
    }

    fn parse(line: &str) -> Result<NodeOptions, String> {
        Line::try_parse_from(line.split_whitespace())
            .map(|line| line.options)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn one_credential_at_most_and_whole() {
        for line in [
            "x --bearer-file a --header b --header-value-file c",
            "x --bearer-file a --basic-user b --basic-password-file c",
            "x --basic-user a --basic-password-file b --header c --header-value-file d",
            "x --basic-user a",
            "x --basic-password-file a",
            "x --header a",
            "x --header-value-file a",
            "x --client-cert a",
            "x --client-key a",
            "x --label novalue",
            "x --label =novalue",
            "x --max-parallel -1",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn secrets_come_from_files() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"tok\n").unwrap();
        let path = file.path().display();
        let options = parse(&format!("x --basic-user ann --basic-password-file {path}")).unwrap();
        match options.credential().unwrap() {
            Some(Credential::Basic { user, password }) => {
                assert_eq!((user.as_str(), password.expose()), ("ann", "tok"));
            }
            other => panic!("{other:?}"),
        }
        assert!(parse("x").unwrap().credential().unwrap().is_none());
    }

    #[test]
    fn standard_input_is_read_once() {
        for line in ["x --ca-file - --bearer-file -", "x --client-cert - --client-key -"] {
            assert!(matches!(parse(line).unwrap().ca_pem(), Err(Failure::Usage { .. })), "{line}");
        }
    }

    #[test]
    fn a_client_certificate_goes_without_the_key_that_stands_in_its_file() {
        let certificate = "-----BEGIN CERTIFICATE-----\nMII=\n-----END CERTIFICATE-----\n";
        let key = "-----BEGIN PRIVATE KEY-----\nMIG=\n-----END PRIVATE KEY-----";
        let mut file = tempfile::NamedTempFile::new().unwrap();
        write!(file, "{key}\n{certificate}and words\n{certificate}").unwrap();
        let mut token = tempfile::NamedTempFile::new().unwrap();
        write!(token, "tok").unwrap();
        let (path, token) = (file.path().display(), token.path().display());
        let line = format!("x --client-cert {path} --client-key {path}");
        let read = |line: &str| match parse(line).unwrap().credential().unwrap() {
            Some(Credential::Certificate { chain_pem, key_pem, header }) => (chain_pem, key_pem, header),
            other => panic!("{other:?}"),
        };
        let (chain, secret, header) = read(&line);
        assert_eq!((chain, header), (certificate.repeat(2), None));
        assert!(secret.expose().contains(key));
        let (.., header) = read(&format!("{line} --bearer-file {token}"));
        let (name, value) = header.unwrap();
        assert_eq!((&*name, value.expose()), ("Authorization", "Bearer tok"));
        let (.., header) = read(&format!("{line} --basic-user u --basic-password-file {token}"));
        assert_eq!(header.unwrap().1.expose(), "Basic dTp0b2s=");
    }

    #[test]
    fn what_is_sent_beside_a_client_certificate_is_checked_as_without_one() {
        let secret = |text: &str| WireSecret::new(text.into());
        let basic = |user: &str, password: &str| Credential::Basic {
            user: user.to_owned(),
            password: secret(password),
        };
        for (credential, sent) in [
            (Credential::Bearer(secret("tok\r\n\n")), "Bearer tok"),
            (basic("u", "tok\n\n"), "Basic dTp0b2s="),
        ] {
            assert_eq!(header(credential).unwrap().unwrap().1.expose(), sent);
        }
        for (credential, option) in [
            (Credential::Bearer(secret("\n")), "--bearer-file"),
            (basic("u", ""), "--basic-password-file"),
            (basic("a:b", "tok"), "--basic-user"),
            (basic("", "tok"), "--basic-user"),
            (basic("a\n", "tok"), "--basic-user"),
        ] {
            let error = header(credential).unwrap_err();
            assert!(error.to_string().contains(option), "{error}");
        }
    }

    #[test]
    fn labels_may_hold_an_equals_sign() {
        let labels = parse("x --label a=b=c --label d=").unwrap().labels();
        assert_eq!(
            labels.into_iter().collect::<Vec<_>>(),
            [("a".into(), "b=c".into()), ("d".into(), String::new())]
        );
    }
}
