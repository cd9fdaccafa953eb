//! The build script of the programs: writes the list of the crates that a program is made of into the program itself, in
//! the form of cargo-auditable (section `.dep-v0`, JSON compressed by zlib), which trivy, grype, syft and `aivonxd version
//! --dependencies` read. It is there after any `cargo build`, without a plug-in.

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    error::Error,
    fs,
    path::Path,
    process::Command,
};

use auditable_serde::{DependencyKind, Package, Source, VersionInfo};
use flate2::{Compression, write::ZlibEncoder};
use object::{
    Architecture, BinaryFormat, Endianness, SectionKind, SymbolFlags, SymbolKind, SymbolScope,
    write::{Object, Symbol, SymbolSection},
};

/// The linker keeps a section that a wanted symbol is in.
const SYMBOL: &str = "AUDITABLE_VERSION_INFO";

fn main() -> Result<(), Box<dyn Error>> {
    let here = env::current_dir()?;
    let lock = here.ancestors().map(|dir| dir.join("Cargo.lock")).find(|file| file.exists());
    println!("cargo::rerun-if-changed={}", lock.ok_or("there is no Cargo.lock")?.display());
    println!("cargo::rerun-if-changed=Cargo.toml");
    if env::var("CARGO_CFG_TARGET_OS")? != "linux" {
        return Ok(());
    }
    let list = serde_json::to_vec(&dependencies()?)?;
    let file = Path::new(&env::var("OUT_DIR")?).join("dependencies.o");
    fs::write(&file, object(&compress(&list)?)?)?;
    println!("cargo::rustc-link-arg-bins={}", file.display());
    println!("cargo::rustc-link-arg-bins=-Wl,--undefined={SYMBOL}");
    Ok(())
}

fn compress(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    std::io::Write::write_all(&mut encoder, bytes)?;
    encoder.finish()
}

/// An object file with `contents` in the section that scanners look for.
fn object(contents: &[u8]) -> Result<Vec<u8>, Box<dyn Error>> {
    let architecture = match &*env::var("CARGO_CFG_TARGET_ARCH")? {
        "x86_64" => Architecture::X86_64,
        "aarch64" => Architecture::Aarch64,
        other => return Err(format!("the list of crates cannot be put into a program for {other}").into()),
    };
    let mut file = Object::new(BinaryFormat::Elf, architecture, Endianness::Little);
    let section = file.add_section(Vec::new(), b".dep-v0".to_vec(), SectionKind::ReadOnlyData);
    file.append_section_data(section, contents, 1);
    file.add_symbol(Symbol {
        name: SYMBOL.into(),
        value: 0,
        size: contents.len() as u64,
        kind: SymbolKind::Data,
        scope: SymbolScope::Dynamic,
        weak: false,
        section: SymbolSection::Section(section),
        flags: SymbolFlags::None,
    });
    Ok(file.write()?)
}

/// A crate as `cargo tree` names it: name, version, whether it is of this workspace.
type Crate = (String, String, bool);

/// What a crate depends on, by the edges that were asked for.
type Edges = BTreeMap<Crate, BTreeSet<Crate>>;

fn dependencies() -> Result<VersionInfo, Box<dyn Error>> {
    let (root, all, _) = tree("normal,build")?;
    let (_, normal, macros) = tree("normal")?;
    // What runs in the compiler alone is no part of the program, nor is what only that needs.
    let mut linked = BTreeSet::from([root.clone()]);
    let mut left = vec![root.clone()];
    while let Some(next) = left.pop() {
        for needed in normal.get(&next).into_iter().flatten().filter(|needed| !macros.contains(*needed)) {
            if linked.insert(needed.clone()) {
                left.push(needed.clone());
            }
        }
    }
    let crates: BTreeSet<_> = all.keys().chain(all.values().flatten()).chain([&root]).collect();
    let index: BTreeMap<_, _> = crates.iter().enumerate().map(|(at, found)| (*found, at)).collect();
    let package = |found: &&Crate| -> Result<Package, Box<dyn Error>> {
        let (name, version, is_local) = found;
        Ok(Package {
            name: name.clone(),
            version: version.parse()?,
            source: if *is_local { Source::Local } else { Source::CratesIo },
            kind: if linked.contains(*found) { DependencyKind::Runtime } else { DependencyKind::Build },
            dependencies: all.get(*found).into_iter().flatten().map(|needed| index[needed]).collect(),
            root: **found == root,
        })
    };
    let packages = crates.iter().map(package).collect::<Result<_, _>>()?;
    Ok(VersionInfo { packages, format: 1 })
}

/// The crates of the package that is built, by edges of these kinds: the root, who needs whom, the procedural macros.
/// `cargo tree` leaves out what no feature asks for, and what is for other systems.
fn tree(kinds: &str) -> Result<(Crate, Edges, BTreeSet<Crate>), Box<dyn Error>> {
    let output = Command::new(env::var("CARGO")?)
        .args(["tree", "--locked", "--prefix", "depth", "--format", "{p}", "--charset", "ascii"])
        .args(["--edges", kinds, "--target", &env::var("TARGET")?, "--package", &env::var("CARGO_PKG_NAME")?])
        .args(["--features", &features()])
        .arg("--no-default-features")
        // Cargo's own for this build script would speak of another crate.
        .env_remove("RUSTC_WORKSPACE_WRAPPER")
        .output()?;
    if !output.status.success() {
        return Err(format!("cargo tree: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    let (mut path, mut edges, mut macros) = (Vec::<Crate>::new(), Edges::new(), BTreeSet::new());
    for line in String::from_utf8(output.stdout)?.lines().filter(|line| !line.is_empty()) {
        let unread = || format!("cargo tree prints {line:?}, which is not a crate");
        let digits = line.bytes().take_while(u8::is_ascii_digit).count();
        let (depth, rest) = line.split_at(digits);
        let mut words = rest.split(' ');
        let name = words.next().ok_or_else(unread)?;
        let version = words.next().and_then(|word| word.strip_prefix('v')).ok_or_else(unread)?;
        let found = (name.to_owned(), version.to_owned(), rest.contains(" (/"));
        if rest.contains(" (proc-macro)") {
            macros.insert(found.clone());
        }
        path.truncate(depth.parse().map_err(|_| unread())?);
        if let Some(parent) = path.last() {
            edges.entry(parent.clone()).or_default().insert(found.clone());
        }
        path.push(found);
    }
    let root = path.into_iter().next().ok_or("cargo tree prints nothing")?;
    Ok((root, edges, macros))
}

/// The features that this package is built with.
fn features() -> String {
    let set = env::vars().filter_map(|(name, _)| Some(name.strip_prefix("CARGO_FEATURE_")?.to_owned()));
    set.filter(|name| name != "DEFAULT")
        .map(|name| name.to_lowercase().replace('_', "-"))
        .collect::<Vec<_>>()
        .join(",")
}
