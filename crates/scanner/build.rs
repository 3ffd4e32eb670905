//! Lists the rule files for embedding, so that adding one needs no code.

use std::{env, error::Error, fmt::Write as _, fs, path::Path};

#[expect(clippy::disallowed_methods, reason = "cargo speaks to build scripts through the environment")]
fn main() -> Result<(), Box<dyn Error>> {
    let folder = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("rules");
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut files =
        fs::read_dir(&folder)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>, Box<dyn Error>>>()?;
    files.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    files.sort();
    let mut code = String::from("pub(crate) static RULES: &[(&str, &str)] = &[\n");
    for file in files {
        println!("cargo::rerun-if-changed={}", file.display());
        let stem = file.file_name().and_then(|name| name.to_str()).ok_or("a file name is not UTF-8")?;
        writeln!(code, "    ({stem:?}, include_str!({:?})),", file.display().to_string())?;
    }
    code.push_str("];\n");
    fs::write(Path::new(&env::var("OUT_DIR")?).join("rules.rs"), code)?;
    Ok(())
}
