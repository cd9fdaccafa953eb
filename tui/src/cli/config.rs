//! `aivonx config ...`

use aivonx_protocol::config::{self, Setting};
use clap::Subcommand;

use super::Context;
use crate::{
    exit::Failure,
    render::{Cell, Column, Table, Tone, text::safe},
};

/// What can be done with the configuration.
#[derive(Debug, Subcommand)]
pub enum ConfigVerb {
    /// Every key with its value in effect and where that comes from
    Show,
    /// Have the daemon read its file again; a mistake in it changes nothing
    Reload,
}

/// Carries out a verb.
///
/// # Errors
/// Why not.
pub async fn run(context: &mut Context, verb: ConfigVerb) -> Result<(), Failure> {
    let client = context.client().await?;
    match verb {
        ConfigVerb::Show => {
            let settings = client.ask(config::Show).await?;
            context.out.show(&settings, |out| out.table(&table(&settings)))
        }
        ConfigVerb::Reload => {
            let reloaded = client.ask(config::Reload).await?;
            context.out.show(&reloaded, |out| {
                if reloaded.applied.is_empty() && reloaded.needs_restart.is_empty() {
                    return out.line("Read again; nothing has changed.");
                }
                for key in &reloaded.applied {
                    out.line(format_args!("in effect now:    {}", safe(key)))?;
                }
                for key in &reloaded.needs_restart {
                    out.line(format_args!("needs a restart:  {}", safe(key)))?;
                }
                if !reloaded.needs_restart.is_empty() {
                    out.line("Restart when it suits: sudo systemctl restart aivonxd")?;
                }
                Ok(())
            })
        }
    }
}

fn table(settings: &[Setting]) -> Table {
    let mut table =
        Table::new([Column::text("KEY"), Column::text("VALUE").cut(16), Column::text("ORIGIN").cut(16)]);
    for setting in settings {
        let origin = Cell::new(&setting.origin);
        table.row([
            (&setting.key).into(),
            (&setting.value).into(),
            if setting.origin == "default" { origin.tone(Tone::Dim) } else { origin },
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    #[test]
    fn settings() {
        insta::assert_snapshot!(table(&samples::settings()).render(Some(80), false));
    }
}
