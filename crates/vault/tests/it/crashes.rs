//! Rotation of the wrapping key and change of the master key, cut off after every single step and then resumed.
//! What survives a crash is what was stored: the rows, the records, the key files.

use keyward_domain::secret::{Place, PlainKey, Sealed};
use keyward_vault::{KeyFile, KeyState, KeyringRow, MasterKey, MasterKeySource, Purpose, Vault, seal};
use std::{collections::BTreeSet, path::Path};
use uuid::Uuid;

const RECORDS: u128 = 5;

/// A database that keeps what was committed, and a process that dies when its steps run out.
struct World {
    rows: Vec<KeyringRow>,
    records: Vec<(Place, Sealed)>,
    steps_left: usize,
}

struct Killed;

impl World {
    fn new(source: &dyn MasterKeySource) -> Self {
        let master = MasterKey::generate().unwrap();
        source.store(&master).unwrap();
        let (vault, rows) = Vault::initialise(master, 1).unwrap();
        let records = (0..RECORDS)
            .map(|number| {
                let place = Place {
                    table: "credential",
                    tenant: Uuid::nil(),
                    record: Uuid::from_u128(number),
                    version: 1,
                    field: "secret",
                };
                let sealed = vault.seal(&place, &secret(number)).unwrap();
                (place, sealed)
            })
            .collect();
        Self { rows, records, steps_left: usize::MAX }
    }

    /// Everything after this in the same process happens only if the process lives.
    fn step(&mut self) -> Result<(), Killed> {
        self.steps_left = self.steps_left.checked_sub(1).ok_or(Killed)?;
        Ok(())
    }

    /// One transaction.
    fn store(&mut self, changed: &[KeyringRow]) -> Result<(), Killed> {
        self.step()?;
        self.rows.retain(|old| changed.iter().all(|new| new.id != old.id));
        self.rows.extend_from_slice(changed);
        Ok(())
    }

    fn begin_rotation(&mut self, vault: &Vault) -> Result<(), Killed> {
        let rows = vault.rotate(2).unwrap();
        self.store(&rows)?;
        self.step()?;
        vault.adopt(&rows).unwrap();
        Ok(())
    }

    /// The background job: from whatever state, without a memory of its own.
    fn finish_rotation(&mut self, vault: &Vault) -> Result<(), Killed> {
        for number in 0..self.records.len() {
            let (place, sealed) = &self.records[number];
            if let Some(moved) = vault.rewrap(place, sealed).unwrap() {
                self.step()?;
                self.records[number].1 = moved;
            }
        }
        let in_use: BTreeSet<String> = self.in_use();
        let rows = vault.retire(&in_use.into_iter().collect::<Vec<_>>()).unwrap();
        if !rows.is_empty() {
            self.store(&rows)?;
            self.step()?;
            vault.adopt(&rows).unwrap();
        }
        Ok(())
    }

    fn in_use(&self) -> BTreeSet<String> {
        self.records.iter().map(|(_, sealed)| seal::inspect(sealed).unwrap().wrapping_key.to_string()).collect()
    }

    fn everything_opens(&self, vault: &Vault) {
        for (number, (place, sealed)) in (0..).zip(&self.records) {
            let plain = vault.open(place, sealed).unwrap();
            assert_eq!(vault.fingerprint("x", &plain), vault.fingerprint("x", &secret(number)));
        }
    }
}

fn secret(number: u128) -> PlainKey {
    PlainKey::new(format!("secret number {number}").into_bytes())
}

fn key_file(folder: &Path) -> KeyFile {
    KeyFile::new(folder.join("master.key"))
}

#[test]
fn a_rotation_survives_being_killed_after_every_step() {
    let mut completed = false;
    for steps in 0..40 {
        let folder = tempfile::tempdir().unwrap();
        let source = key_file(folder.path());
        let mut world = World::new(&source);
        let old = world.in_use();

        let vault = Vault::unlock_from(&source, &world.rows).unwrap();
        world.steps_left = steps;
        let ended = world.begin_rotation(&vault).and_then(|()| world.finish_rotation(&vault));
        drop(vault);

        world.steps_left = usize::MAX;
        let vault = Vault::unlock_from(&source, &world.rows).unwrap();
        world.everything_opens(&vault);
        assert!(world.finish_rotation(&vault).is_ok());
        world.everything_opens(&vault);
        world.everything_opens(&Vault::unlock_from(&source, &world.rows).unwrap());

        let begun = steps > 0;
        assert_eq!(world.in_use() != old, begun, "killed after {steps} steps");
        let states: Vec<KeyState> =
            vault.keyring().iter().filter(|key| key.purpose == Purpose::Wrap).map(|key| key.state).collect();
        let wanted: &[KeyState] = if begun { &[KeyState::Retired, KeyState::Active] } else { &[KeyState::Active] };
        assert_eq!(states, wanted, "killed after {steps} steps");
        if ended.is_ok() {
            completed = true;
            break;
        }
    }
    assert!(completed, "the last round ran to the end, so every step was a point of death once");
}

#[test]
fn a_change_of_the_master_key_survives_being_killed_after_every_step() {
    for killed_after in 0..=4 {
        let folder = tempfile::tempdir().unwrap();
        let source = key_file(folder.path());
        let mut world = World::new(&source);
        let vault = Vault::unlock_from(&source, &world.rows).unwrap();
        let old = vault.master_id();
        let text = MasterKey::generate().unwrap().to_text();
        let new = || MasterKey::parse(&text, "x").unwrap();

        let rows = vault.rewrap_keyring(&new()).unwrap();
        let steps: [&mut dyn FnMut(); 4] = [
            &mut || source.stage(&new()).unwrap(),
            &mut || world.rows.clone_from(&rows),
            &mut || vault.adopt_master(new(), &rows).unwrap(),
            &mut || source.promote().unwrap(),
        ];
        for step in steps.into_iter().take(killed_after) {
            step();
        }
        world.everything_opens(&vault);
        drop(vault);

        let vault = Vault::unlock_from(&source, &world.rows).unwrap();
        world.everything_opens(&vault);
        let stored = killed_after >= 2;
        assert_eq!(vault.master_id(), if stored { new().id() } else { old }, "killed after {killed_after}");
        assert_eq!(source.load().unwrap().unwrap().id(), vault.master_id(), "killed after {killed_after}");
        let sealed = vault.seal(&world.records[0].0, &secret(0)).unwrap();
        assert!(vault.open(&world.records[0].0, &sealed).is_ok());
    }
}

#[test]
fn another_node_follows_what_was_stored() {
    let folder = tempfile::tempdir().unwrap();
    let source = key_file(folder.path());
    let mut world = World::new(&source);
    let here = Vault::unlock_from(&source, &world.rows).unwrap();
    let there = Vault::unlock_from(&source, &world.rows).unwrap();
    assert!(world.begin_rotation(&here).is_ok());
    there.adopt(&world.rows).unwrap();
    assert_eq!(here.keyring(), there.keyring());
    let place = &world.records[0].0;
    assert!(there.open(place, &here.seal(place, &secret(0)).unwrap()).is_ok());
}

#[test]
fn a_lost_or_foreign_master_key_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let source = key_file(folder.path());
    let world = World::new(&source);
    let empty = key_file(&folder.path().join("elsewhere"));
    let said = Vault::unlock_from(&empty, &world.rows).err().unwrap().to_string();
    assert!(said.contains("elsewhere/master.key") && said.contains("not there"), "{said}");
    let (vault, foreign) = Vault::initialise(MasterKey::generate().unwrap(), 1).unwrap();
    let said = Vault::unlock_from(&source, &foreign).err().unwrap().to_string();
    assert!(said.contains(&format!("expected master key {}", vault.master_id())), "{said}");
}
