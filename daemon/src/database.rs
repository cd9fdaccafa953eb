//! `aivonxd migrate`, `move` and `takeover`: settings in PostgreSQL.

use std::path::Path;

use aivonx_config::{self as config, Config};
use aivonx_store::{
    database::{Server, Tables},
    relocate::{self, Moved},
};

use crate::{
    args::{Keeper, Migrate, Move, Takeover},
    commands::{say, summary},
    error::AppError,
    lifecycle,
};

/// The database that the configuration in `file` names.
fn configured(file: &Path) -> Result<(Config, Server), AppError> {
    let config = config::load(file)?.config;
    let server = Server::configured(&config.cluster)?.ok_or_else(|| {
        AppError::Usage(format!(
            "{} names no database; write postgres = \"postgresql://ROLE@HOST/DATABASE\" under [cluster]",
            file.display()
        ))
    })?;
    Ok((config, server))
}

/// `aivonxd migrate`
pub(crate) fn migrate(args: &Migrate) -> Result<(), AppError> {
    let (_, server) = configured(&args.config)?;
    if args.print {
        return say(server.sql().trim_end());
    }
    let name = server.name();
    if args.check {
        return match server.tables()? {
            Tables::Ready => say(&format!("{name} has the tables that this aivonxd needs")),
            Tables::Missing(why) => Err(AppError::Database(format!(
                "the tables are not there as this aivonxd needs them: {why}; see `aivonxd migrate --print`"
            ))),
        };
    }
    let runtime = &server.url().user;
    match &args.owner {
        Some(owner) => server.as_role(owner, args.password_file.as_deref())?.migrate(runtime)?,
        None => server.migrate(runtime)?,
    }
    say(&format!("{name} has the tables, and the role {runtime} its rights on their data"))
}

/// `aivonxd move`
pub(crate) fn relocate(args: &Move) -> Result<(), AppError> {
    if args.from == args.to {
        return Err(AppError::Usage("--from and --to name the same; give one of each".into()));
    }
    let (config, server) = configured(&args.config)?;
    let (dir, name) = (config.data_dir, server.name());
    act_as_owner(&dir)?;
    let moved = match args.to {
        Keeper::Postgres => relocate::to_database(&dir, server, args.replace)?,
        Keeper::Sled => relocate::to_sled(&dir, server)?,
    };
    let store = format!("the embedded store in {}", dir.display());
    let (from, to) = match args.to {
        Keeper::Postgres => (&store, &name),
        Keeper::Sled => (&name, &store),
    };
    let mut text = format!("moved from {from} to {to}, each record compared: {}", records(&moved));
    match (args.to, &moved.kept) {
        (Keeper::Postgres, Some(kept)) => {
            text += &format!("\nthe embedded store is kept in {}", kept.display());
        }
        (Keeper::Sled, kept) => {
            text += &format!("\nthe settings stay in {name}; a move there needs --replace now");
            if let Some(kept) = kept {
                text += &format!("\nwhat was in the way is kept in {}", kept.display());
            }
            text += "\nRemove postgres from [cluster] in the configuration.";
        }
        _ => {}
    }
    say(&(text + "\nStart the daemon to serve from it."))
}

/// `aivonxd takeover`
pub(crate) fn takeover(args: &Takeover) -> Result<(), AppError> {
    let (config, server) = configured(&args.config)?;
    let (dir, name) = (config.data_dir, server.name());
    if dir.exists() {
        act_as_owner(&dir)?;
    }
    let taken = relocate::take_over(&dir, server, args.force)?;
    say(&format!(
        "{} goes on with the settings in {name}: {}\nStart the daemon to serve from it.",
        dir.display(),
        summary(&taken)
    ))
}

/// What is written must be the daemon's to read. What only root may read has been read before.
fn act_as_owner(dir: &Path) -> Result<(), AppError> {
    lifecycle::act_as_owner(dir).map_err(AppError::system("cannot act as the owner of the data directory"))
}

fn records(moved: &Moved) -> String {
    let nouns = moved.summary.nouns().filter(|(_, n)| *n > 0).map(|(noun, n)| format!("{noun} {n}"));
    nouns.collect::<Vec<_>>().join(", ")
}
