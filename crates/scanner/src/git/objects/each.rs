//! Shows every object once, pack by pack in the order it lies in, on several threads.

use super::{HELD, Objects, Open, Reader};
use crate::{
    Cause,
    git::{
        id::Id,
        inflate::{Buffer, Inflater, Stream},
        loose::{self, Loose},
        object::Kind,
        open,
        pack::{Changes, Fault, From, Layout, Pack, Seen, Visit, Walker, name},
    },
};
use std::{
    collections::HashSet,
    io::Read,
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

/// How many roots a thread takes at once.
const TAKEN: usize = 16;

/// Whatever has fewer objects is not worth a thread.
const WORTH: usize = 64;

/// Who is shown all objects.
pub(crate) trait Each: Send {
    /// An object; and if the one it was made from was called clean, where it differs from that.
    fn object(&mut self, id: &Id, kind: Kind, bytes: &[u8], changes: Option<&Changes>) -> Seen;
    /// An object that is too large to be held.
    fn stream(&mut self, id: &Id, kind: Kind, size: u64, reader: &mut dyn Read);
    /// An object that cannot be read; it has no id if it is what was left over of one.
    fn fault(&mut self, id: Option<&Id>, file: &Path, fault: &Fault);
}

/// Which objects were shown already.
#[derive(Debug, Default)]
pub(crate) struct Source {
    /// How many packs were.
    packs: usize,
    loose: HashSet<Id>,
    /// Those that could not be read where they were found first.
    failed: HashSet<Id>,
}

impl Source {
    /// Those that could not be read anywhere.
    pub(crate) const fn failed(&self) -> &HashSet<Id> {
        &self.failed
    }

    fn has(&self, objects: &Objects, packs: usize, id: &Id) -> bool {
        let seen = |open: &Open| open.pack.index.find(id).is_some();
        (self.loose.contains(id) || objects.packs.iter().take(packs).any(seen)) && !self.failed.contains(id)
    }
}

/// A pack, and how its entries hang together.
struct Packed<'p> {
    pack: &'p Pack,
    layout: &'p Layout,
}

/// One thread's part.
struct Worker<'e, E> {
    each: &'e mut E,
    walker: Walker,
    inflater: Inflater,
    failed: HashSet<Id>,
    shown: HashSet<Id>,
}

impl Objects {
    /// Shows every object of these kinds that was not shown yet. Each of `each` is one thread's.
    pub(crate) fn each<E: Each>(&self, kinds: &[Kind], source: &mut Source, each: &mut [E]) {
        let start = |each| Worker {
            each,
            walker: Walker::new(HELD),
            inflater: Inflater::default(),
            failed: HashSet::new(),
            shown: HashSet::new(),
        };
        let mut workers: Vec<_> = each.iter_mut().map(start).collect();
        while let Some(open) = self.packs.get(source.packs) {
            self.pack(open, kinds, source, &mut workers);
            source.packs += 1;
            settle(source, &mut workers);
        }
        let mut loose = self.loose();
        loose.sort_by_key(|loose| loose.id);
        loose.dedup_by(|two, one| two.id.is_some() && two.id == one.id);
        let next = AtomicUsize::new(0);
        let seen = &*source;
        run(&mut workers, loose.len(), |worker| {
            while let Some(loose) = loose.get(next.fetch_add(1, Ordering::Relaxed)) {
                if !worker.loose(self, loose, kinds, seen) {
                    return;
                }
            }
        });
        settle(source, &mut workers);
        source.loose.extend(loose.into_iter().filter_map(|loose| loose.id).filter(|id| !source.failed.contains(id)));
    }

    fn pack<E: Each>(&self, open: &Open, kinds: &[Kind], source: &Source, workers: &mut [Worker<'_, E>]) {
        let layout = match open.layout() {
            Ok(layout) => layout,
            Err(error) => {
                let fault = Fault { cause: Cause::Unreadable, detail: error.to_string().into() };
                return workers.first_mut().map_or((), |worker| worker.each.fault(None, &open.pack.path, &fault));
            }
        };
        let packed = Packed { pack: &open.pack, layout };
        let done = self.done(&packed, source);
        let roots = layout.roots(kinds);
        let next = AtomicUsize::new(0);
        run(workers, roots.len(), |worker| {
            loop {
                let from = next.fetch_add(TAKEN, Ordering::Relaxed);
                let Some(taken) = roots.get(from..roots.len().min(from + TAKEN)).filter(|taken| !taken.is_empty())
                else {
                    return;
                };
                for root in taken {
                    let Some(kind) = layout.node(*root).and_then(|node| node.kind) else { continue };
                    if !worker.walk(&packed, (*root, kind), None, &done) {
                        return;
                    }
                }
            }
        });
        let Some(worker) = workers.first_mut() else { return };
        let mut reader = Reader::default();
        for (at, id) in &layout.foreign {
            match self.read(id, &mut reader) {
                Ok((kind, base)) if kinds.contains(&kind) => {
                    worker.walk(&packed, (*at, kind), Some(base.bytes()), &done);
                }
                Ok(_) => {}
                Err(fault) => worker.lost(&packed, layout.below(*at), &done, &fault),
            }
        }
        let broken = layout.broken.iter().flat_map(|at| layout.below(*at)).collect();
        worker.lost(&packed, broken, &done, &Fault::corrupt("a broken header"));
        worker.lost(&packed, layout.lost(), &done, &Fault::corrupt("made from itself"));
    }

    /// For each entry, whether neither it nor anything made from it is still to be shown. Empty: all is.
    fn done(&self, open: &Packed<'_>, source: &Source) -> Vec<(bool, bool)> {
        if source.packs == 0 && source.loose.is_empty() {
            return Vec::new();
        }
        let count = open.layout.len();
        let mut done: Vec<(bool, bool)> = (0..count)
            .map(|at| {
                let id = open.layout.node(at).and_then(|node| open.pack.index.id(node.position));
                let done = id.is_some_and(|id| source.has(self, source.packs, &id));
                (done, done)
            })
            .collect();
        for at in (0..count).rev() {
            let needed = open.layout.children(at).iter().any(|child| !get(&done, *child).1);
            if let Some(done) = usize::try_from(at).ok().and_then(|at| done.get_mut(at)) {
                done.1 &= !needed;
            }
        }
        done
    }
}

impl<E: Each> Worker<'_, E> {
    fn walk(&mut self, open: &Packed<'_>, root: (u32, Kind), base: Option<&[u8]>, done: &[(bool, bool)]) -> bool {
        let mut show =
            Show { each: self.each, open, done, failed: &mut self.failed, shown: &mut self.shown, kind: root.1 };
        self.walker.walk((open.pack, open.layout), root, base, &mut show)
    }

    fn lost(&mut self, open: &Packed<'_>, entries: Vec<u32>, done: &[(bool, bool)], fault: &Fault) {
        for at in entries.into_iter().filter(|at| !get(done, *at).0) {
            let id = open.layout.node(at).and_then(|node| open.pack.index.id(node.position));
            self.failed.extend(id);
            self.each.fault(id.as_ref(), &open.pack.path, fault);
        }
    }

    fn loose(&mut self, objects: &Objects, loose: &Loose, kinds: &[Kind], source: &Source) -> bool {
        let known = |id: &Id| source.has(objects, objects.packs.len(), id);
        if loose.id.is_some_and(|id| known(&id)) {
            return true;
        }
        let mut buffer = Buffer::default();
        let read = loose::read(&loose.path, HELD, &mut self.inflater, &mut buffer);
        let mut fault = match read {
            Some(Ok(kind)) => {
                return self.show(objects, loose.id, (kind, buffer.bytes()), kinds.contains(&kind), &known);
            }
            Some(Err(fault)) => fault,
            None => Fault { cause: Cause::Changed, detail: "it has gone".into() },
        };
        if let Some(id) = loose.id {
            if fault.cause == Cause::TooLarge
                && let Ok(file) = open::open(&loose.path)
                && let Some((kind, size, mut reader)) = loose::stream(Stream::new(file))
            {
                if kinds.contains(&kind) {
                    self.each.stream(&id, kind, size, &mut reader);
                }
                self.shown.insert(id);
                return true;
            }
            // Another folder may have it.
            match objects.read(&id, &mut Reader::default()) {
                Ok((kind, buffer)) => {
                    return self.show(objects, loose.id, (kind, buffer.bytes()), kinds.contains(&kind), &known);
                }
                Err(other) if fault.cause == Cause::Changed && other.cause != Cause::Absent => fault = other,
                Err(_) => {}
            }
            self.failed.insert(id);
        }
        self.each.fault(loose.id.as_ref(), &loose.path, &fault);
        true
    }

    fn show(
        &mut self,
        objects: &Objects,
        id: Option<Id>,
        (kind, bytes): (Kind, &[u8]),
        wanted: bool,
        known: &dyn Fn(&Id) -> bool,
    ) -> bool {
        // What was left over of an object has no name yet; its content gives it one.
        let named = id.or_else(|| name(objects.format, kind, bytes).filter(|id| !known(id)));
        let Some(id) = named else { return true };
        self.shown.insert(id);
        !wanted || self.each.object(&id, kind, bytes, None) != Seen::Enough
    }
}

/// Shows what a walker makes.
struct Show<'a, E> {
    each: &'a mut E,
    open: &'a Packed<'a>,
    done: &'a [(bool, bool)],
    failed: &'a mut HashSet<Id>,
    shown: &'a mut HashSet<Id>,
    kind: Kind,
}

impl<E: Each> Show<'_, E> {
    fn id(&self, at: u32) -> Option<Id> {
        self.open.pack.index.id(self.open.layout.node(at)?.position)
    }
}

impl<E: Each> Visit for Show<'_, E> {
    fn skip(&self, at: u32) -> bool {
        get(self.done, at).1
    }

    fn object(&mut self, at: u32, kind: Kind, bytes: &[u8], changes: Option<&Changes>) -> Seen {
        if get(self.done, at).0 {
            return Seen::Other;
        }
        let Some(id) = self.id(at) else { return Seen::Other };
        if !self.done.is_empty() {
            // It may have failed elsewhere.
            self.shown.insert(id);
        }
        self.each.object(&id, kind, bytes, changes)
    }

    fn fault(&mut self, at: u32, fault: &Fault) {
        let Some(id) = self.id(at).filter(|_| !get(self.done, at).0) else { return };
        let node = self.open.layout.node(at);
        if let Some(node) = node.filter(|node| fault.cause == Cause::TooLarge && node.kind.is_some()) {
            let offset = node.offset + u64::from(node.header);
            let mut reader = Stream::new(From { pack: self.open.pack, offset });
            self.each.stream(&id, self.kind, node.size, &mut reader);
            return;
        }
        self.failed.insert(id);
        self.each.fault(Some(&id), &self.open.pack.path, fault);
    }
}

/// Takes over what the threads could not read, and what they could after all.
fn settle<E>(source: &mut Source, workers: &mut [Worker<'_, E>]) {
    for worker in workers.iter_mut() {
        for id in worker.shown.drain() {
            source.failed.remove(&id);
        }
    }
    for worker in workers {
        source.failed.extend(worker.failed.drain());
    }
}

fn run<E: Send>(workers: &mut [Worker<'_, E>], much: usize, work: impl Fn(&mut Worker<'_, E>) + Sync) {
    if much < WORTH {
        return workers.first_mut().map_or((), work);
    }
    thread::scope(|scope| {
        for worker in workers {
            scope.spawn(|| work(worker));
        }
    });
}

fn get(done: &[(bool, bool)], at: u32) -> (bool, bool) {
    usize::try_from(at).ok().and_then(|at| done.get(at)).copied().unwrap_or_default()
}
