//! Lists the provider and price files for embedding, so that adding one needs no code.

use std::{env, error::Error, fmt::Write as _, fs, path::Path};

#[expect(clippy::disallowed_methods, reason = "cargo speaks to build scripts through the environment")]
fn main() -> Result<(), Box<dyn Error>> {
    let room = env::var("CARGO_MANIFEST_DIR")?;
    let mut code = String::new();
    for (folder, name) in [("providers", "PROVIDERS"), ("prices", "PRICES")] {
        let folder = Path::new(&room).join(folder);
        println!("cargo::rerun-if-changed={}", folder.display());
        let mut files =
            fs::read_dir(&folder)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>, Box<dyn Error>>>()?;
        files.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
        files.sort();
        writeln!(code, "pub(crate) static {name}: &[(&str, &str)] = &[")?;
        for file in files {
            println!("cargo::rerun-if-changed={}", file.display());
            let stem = file.file_name().and_then(|name| name.to_str()).ok_or("a file name is not UTF-8")?;
            writeln!(code, "    ({stem:?}, include_str!({:?})),", file.display().to_string())?;
        }
        writeln!(code, "];")?;
    }
    code.push_str(&keys(&Path::new(&room).join("providers"))?);
    fs::write(Path::new(&env::var("OUT_DIR")?).join("embedded.rs"), code)?;
    Ok(())
}

/// Of each provider's file what tells its keys: its id, its name, and the tables of its keys.
fn keys(folder: &Path) -> Result<String, Box<dyn Error>> {
    let mut cuts = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        let stem = path.file_name().and_then(|name| name.to_str()).ok_or("a file name is not UTF-8")?.to_owned();
        let (mut cut, mut table) = (String::new(), String::new());
        for line in fs::read_to_string(&path)?.lines() {
            if line.starts_with('[') {
                line.clone_into(&mut table);
            }
            let head = table.is_empty() && (line.starts_with("id = ") || line.starts_with("name = "));
            if (head || table == "[[keys]]") && !line.is_empty() && !line.starts_with('#') {
                cut.push_str(line);
                cut.push('\n');
            }
        }
        let id = cut.lines().find_map(|line| line.strip_prefix("id = ")).unwrap_or_default().to_owned();
        cuts.push((id, stem, cut));
    }
    // The catalogue is in the order of the ids.
    cuts.sort();
    let mut code = String::from("pub(crate) static KEYS: &[(&str, &str)] = &[\n");
    for (_, stem, cut) in cuts {
        writeln!(code, "    ({stem:?}, {cut:?}),")?;
    }
    code.push_str("];\n");
    Ok(code)
}
