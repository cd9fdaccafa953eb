//! What a node is reached with: the options that `node add` and `node set` share. Secrets never stand on
//! the command line, where every user of the machine could read them.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use aivonx_protocol::node::{Credential, NodeKind};
use clap::{Args, ValueEnum};

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

    /// Reads the certificates, if a file is given. Call before [`Self::credential`]: this one notices if both want
    /// standard input.
    ///
    /// # Errors
    /// See [`input::certificates`].
    pub fn ca_pem(&self) -> Result<Option<String>, Failure> {
        let Some(file) = &self.ca_file else { return Ok(None) };
        let secret = [&self.bearer_file, &self.basic_password_file, &self.header_value_file];
        let stdin = Path::new("-");
        if file == stdin && secret.into_iter().flatten().any(|file| file == stdin) {
            return Err(Failure::usage("--ca-file and the secret cannot both be read from standard input")
                .with_hint("Give at least one of them as a file."));
        }
        input::certificates("--ca-file", file).map(Some)
    }

    /// The labels; of one given twice the last.
    #[must_use]
    pub fn labels(&self) -> BTreeMap<String, String> {
        self.labels.iter().cloned().collect()
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
        std::io::Write::write_all(&mut file, b"tok\n").unwrap();
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
        let options = parse("x --ca-file - --bearer-file -").unwrap();
        assert!(matches!(options.ca_pem(), Err(Failure::Usage { .. })));
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
