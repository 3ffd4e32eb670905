//! Pages of memory for keys: outside core dumps, never swapped, where the kernel allows even hidden from itself. One
//! page for one key, or a `Shelf` of pages for many small ones.
//! The only place in the project with `unsafe`; nothing but mapping, reading, wiping and unmapping lives here.

mod shelf;

pub(crate) use shelf::{Shelf, Slot};

use crate::Error;
use nix::sys::mman;
use serde::Serialize;
use std::{ffi::c_void, io, num::NonZeroUsize, ptr::NonNull};
use zeroize::Zeroize;

/// One page on most machines; the kernel rounds up on others.
const LENGTH: NonZeroUsize = NonZeroUsize::new(4096).unwrap();
/// Bytes of a key.
pub(crate) const KEY: usize = 32;
/// Keys that fit on a page.
const SLOTS: usize = LENGTH.get() / KEY;

/// How well the memory that holds keys is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum MemoryKind {
    /// `memfd_secret`: locked, in no dump, and not mapped in the kernel either.
    Secret,
    /// Locked against swapping and left out of dumps.
    Locked,
    /// Ordinary memory, wiped after use: locking was refused (see `ulimit -l`).
    Ordinary,
}

/// Thirty-two secret bytes on a page of their own. Wiped and unmapped when dropped.
pub(crate) struct KeyPage {
    at: NonNull<c_void>,
    kind: MemoryKind,
}

impl KeyPage {
    /// Copies a key to a page of its own. The caller wipes its copy.
    pub(crate) fn holding(key: &[u8; KEY]) -> Result<Self, Error> {
        let mut page = match Self::secret() {
            Some(page) => page,
            None => Self::anonymous()?,
        };
        page.bytes_mut().copy_from_slice(key);
        Ok(page)
    }

    /// The key.
    #[expect(unsafe_code, reason = "reads the page that this value alone owns")]
    pub(crate) fn bytes(&self) -> &[u8; KEY] {
        // SAFETY: `at` points to LENGTH readable, initialised (zeroed by the kernel) bytes until drop; u8 has no alignment.
        unsafe { self.at.cast().as_ref() }
    }

    /// How well the page is protected.
    pub(crate) const fn kind(&self) -> MemoryKind {
        self.kind
    }

    #[expect(unsafe_code, reason = "writes the page that this value alone owns")]
    fn bytes_mut(&mut self) -> &mut [u8; KEY] {
        // SAFETY: as in `bytes`, and `&mut self` makes the borrow the only one.
        unsafe { self.at.cast().as_mut() }
    }

    /// Where one of the page's slots is; the first one is what [`Self::bytes`] reads.
    fn slot(&self, index: usize) -> NonNull<[u8; KEY]> {
        // A page has SLOTS of them; the remainder keeps a wrong index within it.
        let at: NonNull<[u8; KEY]> = self.at.cast();
        #[expect(unsafe_code, reason = "steps within the page that this value owns")]
        // SAFETY: the offset is less than LENGTH, so the result stays within the mapping.
        unsafe {
            at.add(index % SLOTS)
        }
    }

    /// A page of `memfd_secret`, when the kernel has it and the limits allow it.
    #[cfg(target_os = "linux")]
    #[expect(unsafe_code, reason = "the system call has no safe wrapper")]
    fn secret() -> Option<Self> {
        use std::os::fd::{FromRawFd, OwnedFd};
        // SAFETY: takes one flag word and returns a new descriptor or -1; no memory is involved.
        let raw = unsafe { nix::libc::syscall(nix::libc::SYS_memfd_secret, nix::libc::O_CLOEXEC) };
        let raw = i32::try_from(raw).ok().filter(|raw| *raw >= 0)?;
        // SAFETY: the kernel has just given us this descriptor; nobody else knows it.
        let file = unsafe { OwnedFd::from_raw_fd(raw) };
        nix::unistd::ftruncate(&file, i64::try_from(LENGTH.get()).ok()?).ok()?;
        let access = mman::ProtFlags::PROT_READ | mman::ProtFlags::PROT_WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice touches no existing memory.
        let at = unsafe { mman::mmap(None, LENGTH, access, mman::MapFlags::MAP_SHARED, &file, 0) }.ok()?;
        Some(Self { at, kind: MemoryKind::Secret })
    }

    #[cfg(not(target_os = "linux"))]
    fn secret() -> Option<Self> {
        None
    }

    /// A page of ordinary memory, locked and left out of dumps as far as the system lets us.
    #[expect(unsafe_code, reason = "mapping and advising have no safe wrapper")]
    fn anonymous() -> Result<Self, Error> {
        let access = mman::ProtFlags::PROT_READ | mman::ProtFlags::PROT_WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice touches no existing memory.
        let at = unsafe { mman::mmap_anonymous(None, LENGTH, access, mman::MapFlags::MAP_PRIVATE) }
            .map_err(|errno| Error::Memory(io::Error::from(errno)))?;
        // SAFETY: the range is the mapping just made; neither call changes its contents.
        let locked = unsafe { mman::mlock(at, LENGTH.get()) }.is_ok();
        #[cfg(target_os = "linux")]
        // SAFETY: as above.
        let hidden = unsafe { mman::madvise(at, LENGTH.get(), mman::MmapAdvise::MADV_DONTDUMP) }.is_ok();
        #[cfg(not(target_os = "linux"))]
        let hidden = true;
        let kind = if locked && hidden { MemoryKind::Locked } else { MemoryKind::Ordinary };
        Ok(Self { at, kind })
    }
}

impl Drop for KeyPage {
    #[expect(unsafe_code, reason = "unmaps the page that this value alone owns")]
    fn drop(&mut self) {
        self.bytes_mut().zeroize();
        // SAFETY: the range was mapped by this value, which ends here, so no borrow of it can be left.
        // A failure leaves a wiped page behind: nothing to do about it, nothing lost.
        let _ = unsafe { mman::munmap(self.at, LENGTH.get()) };
    }
}

// SAFETY: the page belongs to this value alone, like the contents of a Box.
#[expect(unsafe_code, reason = "a raw pointer hides that the page is owned")]
unsafe impl Send for KeyPage {}

// SAFETY: through a shared reference the page is only read.
#[expect(unsafe_code, reason = "a raw pointer hides that sharing only reads")]
unsafe impl Sync for KeyPage {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_holds_its_key_and_every_page_is_its_own() {
        let one = KeyPage::holding(&[1; KEY]).unwrap();
        let two = KeyPage::holding(&[2; KEY]).unwrap();
        assert_eq!(one.bytes(), &[1; KEY]);
        assert_eq!(two.bytes(), &[2; KEY]);
        assert_ne!(one.at, two.at);
    }

    #[test]
    fn the_fallback_holds_its_key_too() {
        let mut page = KeyPage::anonymous().unwrap();
        page.bytes_mut().copy_from_slice(&[7; KEY]);
        assert_eq!(page.bytes(), &[7; KEY]);
        assert_ne!(page.kind(), MemoryKind::Secret);
    }

    /// The kernel's own word for it: `dd` is "do not include in a core dump", `lo` is "locked".
    #[cfg(target_os = "linux")]
    #[test]
    fn the_kernel_confirms_what_the_kind_claims() {
        for page in [KeyPage::holding(&[3; KEY]).unwrap(), KeyPage::anonymous().unwrap()] {
            let address = page.at.as_ptr() as usize;
            let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
            // Neighbouring mappings of one kind are one entry.
            let holds = |line: &str| {
                let (start, end) = line.split_whitespace().next()?.split_once('-')?;
                let bounds = usize::from_str_radix(start, 16).ok()?..usize::from_str_radix(end, 16).ok()?;
                Some(bounds.contains(&address))
            };
            let mut lines = maps.lines().skip_while(|line| holds(line) != Some(true));
            assert!(lines.next().is_some(), "the page is mapped");
            let flags = lines.find(|line| line.starts_with("VmFlags:")).expect("flags");
            let has = |flag: &str| flags.split_whitespace().any(|one| one == flag);
            match page.kind() {
                MemoryKind::Secret | MemoryKind::Locked => assert!(has("dd") && has("lo"), "{flags}"),
                MemoryKind::Ordinary => assert!(!(has("dd") && has("lo")), "{flags}"),
            }
        }
    }
}
