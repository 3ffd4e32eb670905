//! What opening a sealed value costs: `cargo run --release -p keyward-vault --example open_cost`.

use keyward_domain::secret::{Place, PlainKey};
use keyward_vault::{Error, MasterKey, Vault};
use std::{hint::black_box, io::Write, time::Instant};

const ROUNDS: u32 = 200_000;

fn main() -> Result<(), Error> {
    let (vault, _) = Vault::initialise(MasterKey::generate()?, 0)?;
    let nil = uuid::Uuid::nil();
    let place = Place { table: "credential", tenant: nil, record: nil, version: 1, field: "secret" };
    let plain = PlainKey::new(vec![b'x'; 164]);
    let sealed = vault.seal(&place, &plain)?;
    let mut lines = format!("memory of the master key: {:?}\n", vault.memory());
    let mut measure = |name: &str, work: &mut dyn FnMut() -> Result<(), Error>| -> Result<(), Error> {
        let start = Instant::now();
        for _ in 0..ROUNDS {
            work()?;
        }
        let each = start.elapsed().as_nanos() / u128::from(ROUNDS);
        lines += &format!("{name:<12} {each:>6} ns\n");
        Ok(())
    };
    measure("open", &mut || vault.open(&place, black_box(&sealed)).map(|plain| drop(black_box(plain))))?;
    let ready = vault.ready(&place, &sealed)?;
    measure("ready.open", &mut || black_box(&ready).open().map(|plain| drop(black_box(plain))))?;
    measure("seal", &mut || vault.seal(&place, black_box(&plain)).map(|sealed| drop(black_box(sealed))))?;
    measure("row_mac", &mut || {
        black_box(vault.row_mac("key", &[0; 16], &[&[1; 400], b"active"]));
        Ok(())
    })?;
    measure("fingerprint", &mut || {
        black_box(vault.fingerprint("openai", &plain));
        Ok(())
    })?;
    std::io::stdout().write_all(lines.as_bytes()).map_err(Error::Stream)
}
