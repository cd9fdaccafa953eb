//! Arguments of `aivonxd`.

use std::{net::SocketAddr, path::PathBuf};

use aivonx_config::AccessMode;
use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};

/// Most nodes simulated at once.
const SIMULATED_MAX: u8 = 16;

/// The gateway daemon for fleets of self-hosted LLM nodes.
#[derive(Debug, Parser)]
#[command(name = "aivonxd", version, about, max_term_width = 100)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve this machine only, without root or configuration file; for trying and developing
    Dev(Dev),
    /// Serve as configured; what the service unit starts
    Run {
        /// Configuration file
        #[arg(long, default_value = "/etc/aivonx/aivonxd.toml")]
        config: PathBuf,
    },
    /// Check a configuration file, naming every mistake
    Check {
        /// Configuration file
        #[arg(long, default_value = "/etc/aivonx/aivonxd.toml")]
        config: PathBuf,
        /// Print the default file, every key explained, instead
        #[arg(long)]
        print_default: bool,
    },
    /// Print the version, or the crates that this program is made of
    Version(Version),
    /// Print the routes in mdoc, for aivonx-api(7)
    #[command(hide = true)]
    Manual,
    /// List a store's snapshots, or put one back (the daemon must not run)
    Recover(Recover),
    /// Put a backup back, or see whether it could be (the daemon must not run)
    Restore(Restore),
    /// Make a certificate authority and a server's certificate for trying TLS
    GenCert(GenCert),
    /// Make the tables in the PostgreSQL database of the configuration, or see what would be done
    Migrate(Migrate),
    /// Move the settings from the embedded store to PostgreSQL or back (the daemon must not run)
    Move(Move),
    /// Accept the settings in PostgreSQL as they are, though this member knows of later ones (the daemon must not run)
    Takeover(Takeover),
    /// Change the master key: wrap the data keys of the store and its snapshots anew (the daemon must not run)
    Rekey(Rekey),
}

/// Arguments of `aivonxd version`.
#[derive(Debug, ClapArgs)]
pub struct Version {
    /// Print the crates that are linked into this program, or into those named, as they say themselves
    #[arg(long)]
    pub dependencies: bool,
    /// Programs to read instead of this one
    #[arg(value_name = "PROGRAM", requires = "dependencies")]
    pub programs: Vec<PathBuf>,
    /// Form of the list
    #[arg(long, value_enum, default_value_t = DependencyFormat::Text, requires = "dependencies")]
    pub output: DependencyFormat,
}

/// Values of `version --output`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DependencyFormat {
    /// A line each: name and version
    Text,
    /// All that the build needed, in the form of cargo-auditable
    Json,
    /// A bill of materials, CycloneDX 1.6
    Cyclonedx,
}

/// Arguments of `aivonxd dev`.
#[derive(Debug, ClapArgs)]
pub struct Dev {
    /// Directory of everything the daemon keeps [default: $XDG_STATE_HOME/aivonx]
    #[arg(long)]
    pub dir: Option<PathBuf>,
    /// Loopback address for clients; port 0 lets the kernel choose
    #[arg(long, default_value = "127.0.0.1:11435")]
    pub listen: SocketAddr,
    /// Node to begin with, as a URL; may be repeated [default, if there is no node yet: $OLLAMA_HOST or http://127.0.0.1:11434]
    #[arg(long = "node", value_name = "URL")]
    pub nodes: Vec<String>,
    /// Simulate 1 to 16 nodes, for trying without a GPU; they answer with made-up text and are gone when it stops
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=i64::from(SIMULATED_MAX)))]
    pub simulate: Option<u8>,
    /// Number that the made-up texts follow from
    #[arg(long, value_name = "N", default_value_t = 1, requires = "simulate")]
    pub seed: u64,
    /// Make traffic to the simulated nodes, with organizations, users and keys; for a --dir without others
    #[arg(long, value_enum, requires = "simulate")]
    pub traffic: Option<Traffic>,
    /// End when standard input does, for the program that starts it
    #[arg(long)]
    pub until_eof: bool,
    /// Whether clients need a key; with "required", administrators must log in too once there is one
    #[arg(long, value_enum, default_value_t = Access::Open)]
    pub access: Access,
    /// Host accepted in requests beside the names of this machine; may be repeated
    #[arg(long = "allow-host", value_name = "HOST", value_parser = aivonx_config::allowed_host)]
    pub hosts: Vec<String>,
    /// Origin whose pages may ask beside those of this machine, a part of it open with "*"; may be repeated
    #[arg(long = "allow-origin", value_name = "ORIGIN", value_parser = aivonx_config::allowed_origin)]
    pub origins: Vec<String>,
    /// Serve HTTPS with the certificate in this PEM file; 'aivonxd gen-cert' makes one
    #[arg(long, value_name = "FILE", requires = "tls_key", conflicts_with = "traffic")]
    pub tls_cert: Option<PathBuf>,
    /// Private key of the certificate
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
}

/// Values of `--traffic`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Traffic {
    /// A request or two a second
    Light,
    /// Several times as many
    Busy,
}

/// Values of `--access`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Access {
    /// Only with a key
    Required,
    /// With or without a key
    Optional,
    /// Everyone who can connect
    Open,
}

impl From<Access> for AccessMode {
    fn from(access: Access) -> Self {
        match access {
            Access::Required => Self::Required,
            Access::Optional => Self::Optional,
            Access::Open => Self::Open,
        }
    }
}

/// Arguments of `aivonxd recover`.
#[derive(Debug, ClapArgs)]
pub struct Recover {
    /// Directory of the store [default: data_dir of the configuration file]
    #[arg(long)]
    pub dir: Option<PathBuf>,
    /// Configuration file
    #[arg(long, default_value = "/etc/aivonx/aivonxd.toml")]
    pub config: PathBuf,
    /// List the snapshots (what is done without --snapshot and --from)
    #[arg(long, conflicts_with_all = ["snapshot", "from"])]
    pub list: bool,
    /// Put this snapshot back; the present store is set aside, not deleted
    #[arg(long, value_name = "FILE")]
    pub snapshot: Option<PathBuf>,
    /// Put a store back that was set aside (store.damaged-TIME, store.before-TIME), if it is whole; else say what of it is
    #[arg(long, value_name = "DIRECTORY", conflicts_with = "snapshot")]
    pub from: Option<PathBuf>,
}

/// Arguments of `aivonxd restore`.
#[derive(Debug, ClapArgs)]
pub struct Restore {
    /// The backup; a bare name stands for one in the directory `backups` of the data as well
    #[arg(value_name = "FILE")]
    pub backup: PathBuf,
    /// Directory of the store [default: data_dir of the configuration file]
    #[arg(long)]
    pub dir: Option<PathBuf>,
    /// Configuration file
    #[arg(long, default_value = "/etc/aivonx/aivonxd.toml")]
    pub config: PathBuf,
    /// Only read all of it, and say whether it could be restored
    #[arg(long)]
    pub check: bool,
    /// What opens it
    #[command(flatten)]
    pub with: OpenWith,
}

/// What opens a backup; by default the master key in use.
#[derive(Debug, ClapArgs)]
#[group(multiple = false)]
pub struct OpenWith {
    /// File of the passphrase it was made with
    #[arg(long, value_name = "FILE")]
    pub passphrase_file: Option<PathBuf>,
    /// File of the private key it was made for
    #[arg(long, value_name = "FILE")]
    pub private_key: Option<PathBuf>,
    /// File of the master key of the gateway that made it
    #[arg(long, value_name = "FILE")]
    pub master_key: Option<PathBuf>,
}

/// Arguments of `aivonxd gen-cert`.
#[derive(Debug, ClapArgs)]
pub struct GenCert {
    /// Directory for ca.pem, ca.key, cert.pem and key.pem; made if absent, and nothing in it is overwritten
    #[arg(long, default_value = ".")]
    pub dir: PathBuf,
    /// Host names and IP addresses of the server
    #[arg(required = true, value_name = "NAME")]
    pub names: Vec<String>,
}

/// Arguments of `aivonxd migrate`.
#[derive(Debug, ClapArgs)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["print", "check", "apply"]))]
pub struct Migrate {
    /// Print the SQL: tables for their owner, and rights on their data for the role of the gateway
    #[arg(long)]
    pub print: bool,
    /// Say whether the tables are there as this aivonxd needs them; exit status 1 if not
    #[arg(long)]
    pub check: bool,
    /// Make the tables
    #[arg(long)]
    pub apply: bool,
    /// Role that makes them, who may make schemas in the database [default: that of cluster.postgres]
    #[arg(long, value_name = "ROLE", requires = "apply")]
    pub owner: Option<String>,
    /// File with the password of that role
    #[arg(long, value_name = "FILE", requires = "owner")]
    pub password_file: Option<PathBuf>,
    /// Configuration file
    #[arg(long, default_value = "/etc/aivonx/aivonxd.toml")]
    pub config: PathBuf,
}

/// Where settings are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Keeper {
    /// The embedded store in the data directory
    Sled,
    /// The database of cluster.postgres
    Postgres,
}

/// Arguments of `aivonxd move`.
#[derive(Debug, ClapArgs)]
pub struct Move {
    /// Where the settings are
    #[arg(long, value_enum)]
    pub from: Keeper,
    /// Where they are to be
    #[arg(long, value_enum)]
    pub to: Keeper,
    /// Remove the settings that the database holds already, such as those of an earlier move
    #[arg(long)]
    pub replace: bool,
    /// Configuration file, with cluster.postgres
    #[arg(long, default_value = "/etc/aivonx/aivonxd.toml")]
    pub config: PathBuf,
}

/// Arguments of `aivonxd takeover`.
#[derive(Debug, ClapArgs)]
pub struct Takeover {
    /// Though another process with a copy of the data directory was seen less than 30 seconds ago: it ends
    #[arg(long)]
    pub force: bool,
    /// Configuration file, with cluster.postgres
    #[arg(long, default_value = "/etc/aivonx/aivonxd.toml")]
    pub config: PathBuf,
}

/// Arguments of `aivonxd rekey`.
#[derive(Debug, ClapArgs)]
pub struct Rekey {
    /// File of the master key in use
    #[arg(long, value_name = "FILE")]
    pub old: PathBuf,
    /// File of the master key to use from now on; made by `aivonx secrets generate-key --out FILE`
    #[arg(long, value_name = "FILE")]
    pub new: PathBuf,
    /// Directory of the store [default: data_dir of the configuration file]
    #[arg(long)]
    pub dir: Option<PathBuf>,
    /// Configuration file
    #[arg(long, default_value = "/etc/aivonx/aivonxd.toml")]
    pub config: PathBuf,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn arguments_are_consistent() {
        super::Args::command().debug_assert();
    }
}
