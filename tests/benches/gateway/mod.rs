//! The parts of the bench. The binary runs itself again for every process it needs, so that the load
//! generator, the fake node and the proxies can be pinned and measured apart.

mod load;
mod node;
mod options;
mod placement;
mod process;
mod report;
mod rounds;
mod subject;
mod wire;

use std::process::ExitCode;

/// The role argument that makes this binary another process of the bench.
const ROLE: &str = "--bench-role";

/// Runs the bench, or the role named in the arguments.
pub(crate) fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments.split_first() {
        Some((first, rest)) if first == ROLE => role(rest),
        _ => bench(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("gateway bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn role(arguments: &[String]) -> anyhow::Result<()> {
    let (name, rest) = arguments.split_first().ok_or_else(|| anyhow::anyhow!("no role given"))?;
    match name.as_str() {
        "exec" => process::exec_role(rest),
        "node" => node::role(rest),
        "load" => load::role(rest),
        other => anyhow::bail!("unknown role {other:?}"),
    }
}

fn bench(arguments: &[String]) -> anyhow::Result<()> {
    let options = match options::parse(arguments)? {
        options::Parsed::Run(options) => options,
        options::Parsed::Help => {
            print!("{}", options::HELP);
            return Ok(());
        }
    };
    let figures = rounds::run(&options)?;
    if options.json {
        println!("{}", serde_json::to_string_pretty(&report::json(&figures))?);
    } else {
        print!("{}", report::text(&figures));
    }
    Ok(())
}
