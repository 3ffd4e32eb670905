//! The vault itself: an unlocked keyring that seals, opens and moves values, seals rows and makes fingerprints.
//! Changes of the keyring are pure: they return rows to store, and take effect when the stored rows are adopted.

use crate::{
    Error, KeyState, KeyringRow, KeyringStatus, MasterKey, MasterKeyId, MemoryKind, Purpose,
    keyring::{KeyringId, KeyringKey},
    memory::Shelf,
    primitives::{equal, joined},
    recovery,
    seal::{self, Ready},
    source::MasterKeySource,
};
use arc_swap::ArcSwap;
use aws_lc_rs::hmac;
use keyward_domain::{
    Millis,
    leak::{LeakKey, LeakPrint},
    secret::{Fingerprint, Place, PlainKey, Sealed},
};
use std::sync::{Arc, Mutex, PoisonError};

/// What to do when a keyring is there and its master key is not.
const LOST: &str = "it is not there: put it back from where you keep a copy, or restore access with the recovery identity \
    (keyward vault recover --identity FILE)";

/// An unlocked vault. Shared as `Arc<Vault>`; opening takes no lock.
pub struct Vault {
    state: ArcSwap<State>,
    /// Where the data keys of values lie that are opened often.
    shelf: Shelf,
    /// Held while the state is replaced, so that two replacements do not undo each other. Readers never wait for it.
    changing: Mutex<()>,
}

struct State {
    master: Arc<MasterKey>,
    keys: Vec<Arc<KeyringKey>>,
    wrap: Arc<KeyringKey>,
    mac: Arc<KeyringKey>,
    fingerprint: Arc<KeyringKey>,
}

impl Vault {
    /// Makes a new keyring: the vault, and the rows to store before anything is sealed.
    ///
    /// # Errors
    /// When the operating system gives no random bytes or no memory.
    pub fn initialise(master: MasterKey, now: Millis) -> Result<(Self, Vec<KeyringRow>), Error> {
        let keys = [Purpose::Wrap, Purpose::Mac, Purpose::Fingerprint]
            .into_iter()
            .map(|purpose| KeyringKey::generate(purpose, KeyState::Active, now).map(Arc::new))
            .collect::<Result<Vec<_>, _>>()?;
        let rows = keys.iter().map(|key| key.wrap(&master)).collect::<Result<Vec<_>, _>>()?;
        Ok((Self::with(State::new(Arc::new(master), keys)?), rows))
    }

    /// Unlocks a stored keyring.
    ///
    /// # Errors
    /// [`Error::EmptyKeyring`], [`Error::WrongMasterKey`], [`Error::KeyringTampered`], [`Error::IncompleteKeyring`].
    pub fn unlock(master: MasterKey, rows: &[KeyringRow]) -> Result<Self, Error> {
        let master = Arc::new(master);
        let keys = unwrap_all(&master, rows)?;
        Ok(Self::with(State::new(master, keys)?))
    }

    /// Unlocks a stored keyring with the key of a source. When a change of the master key was cut off after the rows
    /// were stored, the key that was staged for it is the right one: it is promoted, and the change is complete.
    ///
    /// # Errors
    /// As [`Self::unlock`]; [`Error::BadMasterKey`] when the source holds no key; what the source itself refuses.
    pub fn unlock_from(source: &dyn MasterKeySource, rows: &[KeyringRow]) -> Result<Self, Error> {
        let missing = || Error::BadMasterKey { from: source.describe(), reason: LOST };
        let refused = match source.load()? {
            Some(master) => match Self::unlock(master, rows) {
                Err(error @ Error::WrongMasterKey { .. }) => error,
                other => return other,
            },
            None => missing(),
        };
        let Some(staged) = source.staged()? else { return Err(refused) };
        let Ok(vault) = Self::unlock(staged, rows) else { return Err(refused) };
        source.promote()?;
        Ok(vault)
    }

    /// Seals a value for one place. A fresh data key each time: sealing the same value twice gives different bytes.
    ///
    /// # Errors
    /// When the operating system gives no random bytes or no memory.
    pub fn seal(&self, place: &Place, plain: &PlainKey) -> Result<Sealed, Error> {
        seal::seal(&self.state.load().wrap, place, plain, seal::Fresh::draw()?)
    }

    /// Makes a value ready for being opened often: its data key is unwrapped into protected memory, once.
    ///
    /// # Errors
    /// As [`Self::open`], but a change in the value itself is only found on opening; when there is no memory.
    pub fn ready(&self, place: &Place, sealed: &Sealed) -> Result<Ready, Error> {
        let state = self.state.load();
        seal::ready(|id| state.wrapping_key(id), &self.shelf, place, sealed)
    }

    /// Opens a value at its place, once.
    ///
    /// # Errors
    /// [`Error::Tampered`], [`Error::UnknownWrappingKey`], [`Error::WrongWrappingKey`], [`Error::UnknownFormat`].
    pub fn open(&self, place: &Place, sealed: &Sealed) -> Result<PlainKey, Error> {
        let state = self.state.load();
        seal::open(|id| state.wrapping_key(id), place, sealed)
    }

    /// Moves a value to the active wrapping key without decrypting it. `None`: it is under the active key already.
    /// Store the result only if the record still holds the bytes given here.
    ///
    /// # Errors
    /// As [`Self::open`], but a change in the value itself is only found on opening.
    pub fn rewrap(&self, place: &Place, sealed: &Sealed) -> Result<Option<Sealed>, Error> {
        let state = self.state.load();
        seal::rewrap(|id| state.wrapping_key(id), &state.wrap, place, sealed)
    }

    /// Begins a rotation: a new active wrapping key, and the active ones so far as retiring. Nothing changes here until
    /// the rows (insert or replace by id, in one transaction) are stored and adopted.
    ///
    /// # Errors
    /// When the operating system gives no random bytes or no memory.
    pub fn rotate(&self, now: Millis) -> Result<Vec<KeyringRow>, Error> {
        let state = self.state.load();
        // Later than every other, also when the clock went back: the newest active key is the one that counts.
        let newest = state.wrapping().map(|key| key.created_at).max().unwrap_or(now);
        let fresh = KeyringKey::generate(Purpose::Wrap, KeyState::Active, now.max(newest.saturating_add(1)))?;
        let mut rows = vec![fresh.wrap(&state.master)?];
        for key in state.wrapping().filter(|key| key.state == KeyState::Active) {
            rows.push(key.in_state(KeyState::Retiring)?.wrap(&state.master)?);
        }
        Ok(rows)
    }

    /// Ends a rotation: the retiring wrapping keys that no record needs any more, as retired. `in_use` are the ids of all
    /// wrapping keys that a stored ciphertext names (see [`seal::inspect`]). To be stored and adopted, like a rotation.
    ///
    /// # Errors
    /// When there is no memory.
    pub fn retire(&self, in_use: &[String]) -> Result<Vec<KeyringRow>, Error> {
        let state = self.state.load();
        state
            .wrapping()
            .filter(|key| key.state == KeyState::Retiring && !in_use.contains(&key.id.to_string()))
            .map(|key| key.in_state(KeyState::Retired)?.wrap(&state.master))
            .collect()
    }

    /// Takes over stored rows: those of a rotation just stored, or all rows when another node changed them. Rows replace
    /// what is known under their id; keys that are not mentioned stay. All or nothing, seen by the next call.
    ///
    /// # Errors
    /// As [`Self::unlock`]; [`Error::WrongMasterKey`] means that the master key was changed elsewhere: load it anew.
    pub fn adopt(&self, rows: &[KeyringRow]) -> Result<(), Error> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let state = self.state.load_full();
        let mut keys = unwrap_all(&state.master, rows)?;
        let kept = state.keys.iter().filter(|old| rows.iter().all(|row| row.id != old.id.to_string()));
        keys.extend(kept.map(Arc::clone));
        self.state.store(Arc::new(State::new(Arc::clone(&state.master), keys)?));
        Ok(())
    }

    /// What is in the keyring, for people to see.
    #[must_use]
    pub fn keyring(&self) -> Vec<KeyringStatus> {
        let state = self.state.load();
        let master_id = state.master.id().to_string();
        let status = |key: &Arc<KeyringKey>| KeyringStatus {
            id: key.id.to_string(),
            purpose: key.purpose,
            state: key.state,
            created_at: key.created_at,
            master_id: master_id.clone(),
        };
        state.keys.iter().map(status).collect()
    }

    /// Which master key unlocked this vault.
    #[must_use]
    pub fn master_id(&self) -> MasterKeyId {
        self.state.load().master.id()
    }

    /// The wrapping key that new values are sealed under.
    #[must_use]
    pub fn active_wrapping_key(&self) -> KeyringId {
        self.state.load().wrap.id
    }

    /// How well the memory that holds the master key is protected.
    #[must_use]
    pub fn memory(&self) -> MemoryKind {
        self.state.load().master.memory()
    }

    /// The seal of a row that grants power: HMAC-SHA256 over table, record and fields, each after its length.
    #[must_use]
    pub fn row_mac(&self, table: &str, record: &[u8], fields: &[&[u8]]) -> [u8; 32] {
        let count = u32::try_from(fields.len()).unwrap_or(u32::MAX).to_be_bytes();
        let mut code = self.state.load().mac.code();
        // HOT: at the start there may be very many rows, and two updates cost less than two dozen small ones.
        code.update(&joined(&[b"keyward row", table.as_bytes(), record, &count]));
        code.update(&joined(fields));
        bytes(code)
    }

    /// Whether a row still is what was sealed. Takes the same time wherever the difference is.
    #[must_use]
    pub fn row_mac_holds(&self, table: &str, record: &[u8], fields: &[&[u8]], mac: &[u8]) -> bool {
        equal(&self.row_mac(table, record, fields), mac)
    }

    /// A keyed hash of a secret, blank space around it not counted: the same for the same secret of the same provider.
    #[must_use]
    pub fn fingerprint(&self, provider: &str, secret: &PlainKey) -> Fingerprint {
        // SECRET: only hashed, under a key of its own.
        #[expect(clippy::disallowed_methods, reason = "the vault hashes it")]
        let secret = secret.expose().trim_ascii();
        let mut code = self.state.load().fingerprint.code();
        for part in [provider.as_bytes(), &[0], secret] {
            code.update(part);
        }
        Fingerprint(bytes(code))
    }

    /// The key that clients make questions with: derived for this alone, and one way. It opens and seals nothing.
    #[must_use]
    pub fn leak_key(&self) -> LeakKey {
        let mut code = self.state.load().fingerprint.code();
        code.update(b"keyward leak key 1");
        LeakKey::new(bytes(code))
    }

    /// What is stored of a secret so that a question about it can be answered: hashed once more, with a key that no
    /// client has.
    #[must_use]
    pub fn leak_mark(&self, print: &LeakPrint) -> [u8; 32] {
        let mut code = self.state.load().fingerprint.code();
        code.update(b"keyward leak mark 1");
        code.update(&print.0);
        bytes(code)
    }

    /// The same of the secret itself.
    #[must_use]
    pub fn leak_mark_of(&self, secret: &PlainKey) -> [u8; 32] {
        // SECRET: only hashed, under keys of its own.
        #[expect(clippy::disallowed_methods, reason = "the vault hashes it")]
        let print = self.leak_key().of_secret(secret.expose());
        self.leak_mark(&print)
    }

    /// The master key, encrypted to a recovery recipient. Safe to store beside the database; to be made anew whenever the
    /// master key or the recipient changes.
    ///
    /// # Errors
    /// [`Error::BadRecipient`].
    pub fn recovery_blob(&self, recipient: &str) -> Result<Vec<u8>, Error> {
        recovery::wrap(&self.state.load().master, recipient)
    }

    /// Begins a change of the master key: all rows, wrapped by the new one. The order that survives a crash at any point:
    /// [`MasterKeySource::stage`] the new key, replace all rows in one transaction, [`Self::adopt_master`],
    /// [`MasterKeySource::promote`]. After a crash [`Self::unlock_from`] finds the right one of the two.
    ///
    /// # Errors
    /// When the operating system gives no random bytes or no memory.
    pub fn rewrap_keyring(&self, new: &MasterKey) -> Result<Vec<KeyringRow>, Error> {
        self.state.load().keys.iter().map(|key| key.wrap(new)).collect()
    }

    /// Takes over stored rows under a new master key: ours after [`Self::rewrap_keyring`], or all rows when another node
    /// changed the master key. Unlike [`Self::adopt`], keys that are not mentioned go.
    ///
    /// # Errors
    /// As [`Self::unlock`].
    pub fn adopt_master(&self, new: MasterKey, rows: &[KeyringRow]) -> Result<(), Error> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let master = Arc::new(new);
        let keys = unwrap_all(&master, rows)?;
        self.state.store(Arc::new(State::new(master, keys)?));
        Ok(())
    }

    fn with(state: State) -> Self {
        Self { state: ArcSwap::from_pointee(state), shelf: Shelf::default(), changing: Mutex::new(()) }
    }
}

impl State {
    /// Sorts the keys by age and picks the newest active one of each purpose: after two rotations at the same time on two
    /// nodes both have two, and must choose the same.
    fn new(master: Arc<MasterKey>, mut keys: Vec<Arc<KeyringKey>>) -> Result<Self, Error> {
        keys.sort_by_key(|key| (key.created_at, key.id));
        let active = |purpose: Purpose| {
            let found = keys.iter().rfind(|key| key.purpose == purpose && key.state == KeyState::Active);
            found.map(Arc::clone).ok_or_else(|| Error::IncompleteKeyring { purpose: purpose.name() })
        };
        let (wrap, mac, fingerprint) = (active(Purpose::Wrap)?, active(Purpose::Mac)?, active(Purpose::Fingerprint)?);
        Ok(Self { master, keys, wrap, mac, fingerprint })
    }

    fn wrapping(&self) -> impl Iterator<Item = &KeyringKey> {
        self.keys.iter().map(Arc::as_ref).filter(|key| key.purpose == Purpose::Wrap)
    }

    fn wrapping_key(&self, id: KeyringId) -> Option<&KeyringKey> {
        self.wrapping().find(|key| key.id == id)
    }
}

impl KeyringKey {
    fn code(&self) -> hmac::Context {
        hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, self.bytes()))
    }
}

fn bytes(code: hmac::Context) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.iter_mut().zip(code.sign().as_ref()).for_each(|(to, from)| *to = *from);
    bytes
}

fn unwrap_all(master: &MasterKey, rows: &[KeyringRow]) -> Result<Vec<Arc<KeyringKey>>, Error> {
    if rows.is_empty() {
        return Err(Error::EmptyKeyring);
    }
    rows.iter().map(|row| KeyringKey::unwrap(row, master).map(Arc::new)).collect()
}

#[cfg(test)]
mod tests;
