//! A small exhaustive explorer: breadth first through every state that a model can reach, so that the first trace to a
//! wrong one is a shortest one. States are compared whole, not by a fingerprint: "exhaustive" means it.

use std::{
    collections::{HashMap, VecDeque, hash_map::DefaultHasher},
    fmt::{self, Debug},
    hash::{Hash, Hasher},
    mem::{Discriminant, discriminant},
};

/// What is explored.
pub(crate) trait Model {
    /// Everything that the next step depends on.
    type State: Clone + Eq + Hash + Debug;
    /// One step.
    type Action: Copy + Debug;

    /// Where it begins.
    fn start(&self) -> Self::State;
    /// Every step that can be made now.
    fn actions(&self, state: &Self::State, actions: &mut Vec<Self::Action>);
    /// Makes a step.
    fn step(&self, state: &Self::State, action: Self::Action) -> Self::State;
    /// Whether the step is something that goes wrong in the world (or a whim of somebody): nothing may depend on it.
    fn is_fault(&self, action: Self::Action) -> bool;
    /// What must never be and is.
    fn wrong(&self, state: &Self::State) -> Option<String>;
    /// Where everything comes to rest. From every state such a one must be reachable without another fault.
    fn at_rest(&self, state: &Self::State) -> bool;
}

/// How much was looked at.
#[derive(Debug)]
pub(crate) struct Explored<A> {
    /// States.
    pub(crate) states: usize,
    /// Steps between them.
    pub(crate) steps: usize,
    /// States at rest.
    pub(crate) at_rest: usize,
    /// One step of every kind that was made.
    pub(crate) kinds: HashMap<Discriminant<A>, A>,
}

/// What is wrong, and how to get there.
pub(crate) struct Refuted {
    /// What is wrong.
    pub(crate) what: String,
    /// Every step from the beginning, and the state that it led to at last.
    pub(crate) trace: Vec<String>,
}

impl Debug for Refuted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.what)?;
        for (number, line) in self.trace.iter().enumerate() {
            write!(f, "\n{number:>4}  {line}")?;
        }
        Ok(())
    }
}

/// A step, and the number of the state in which it was made.
type From<M> = Option<(usize, <M as Model>::Action)>;

/// All states so far, and how each was reached first.
struct Known<M: Model> {
    states: Vec<(M::State, From<M>)>,
    /// By hash; a hash that another state has already is counted up until a free one is found.
    places: HashMap<u64, usize>,
}

impl<M: Model> Known<M> {
    /// The number of a state, and whether it is new.
    fn number(&mut self, state: M::State, from: From<M>) -> (usize, bool) {
        let mut hasher = DefaultHasher::new();
        state.hash(&mut hasher);
        let mut place = hasher.finish();
        while let Some(number) = self.places.get(&place) {
            if self.states[*number].0 == state {
                return (*number, false);
            }
            place = place.wrapping_add(1);
        }
        let number = self.states.len();
        self.places.insert(place, number);
        self.states.push((state, from));
        (number, true)
    }

    fn refuted(&self, what: String, at: usize) -> Refuted {
        let mut trace = vec![format!("{:?}", self.states[at].0)];
        let mut next = self.states[at].1;
        while let Some((from, action)) = next {
            trace.push(format!("{action:?}"));
            next = self.states[from].1;
        }
        trace.reverse();
        Refuted { what, trace }
    }
}

/// Explores everything.
///
/// # Errors
/// With the shortest trace to a state that is wrong, or to one that can never come to rest.
///
/// # Panics
/// When there are more than `most` states: then nothing would be known.
pub(crate) fn explore<M: Model>(model: &M, most: usize) -> Result<Explored<M::Action>, Refuted> {
    let mut known = Known::<M> { states: Vec::new(), places: HashMap::new() };
    known.number(model.start(), None);
    let mut actions = Vec::new();
    let mut steps = 0;
    let mut kinds = HashMap::new();
    // Steps that are no faults, backwards: the number of the state that is reached, and where from.
    let mut backwards: Vec<(usize, usize)> = Vec::new();
    let mut next = 0;
    while next < known.states.len() {
        let state = known.states[next].0.clone();
        if let Some(what) = model.wrong(&state) {
            return Err(known.refuted(what, next));
        }
        actions.clear();
        model.actions(&state, &mut actions);
        for action in &actions {
            steps += 1;
            kinds.entry(discriminant(action)).or_insert(*action);
            let (reached, _) = known.number(model.step(&state, *action), Some((next, *action)));
            if !model.is_fault(*action) {
                backwards.push((reached, next));
            }
        }
        assert!(known.states.len() <= most, "more than {most} states: make the model smaller");
        next += 1;
    }
    let resting: Vec<usize> = (0..known.states.len()).filter(|at| model.at_rest(&known.states[*at].0)).collect();
    if let Some(stuck) = stuck(known.states.len(), &resting, backwards) {
        return Err(known.refuted("this can never come to rest".to_owned(), stuck));
    }
    Ok(Explored { states: known.states.len(), steps, at_rest: resting.len(), kinds })
}

/// The first state that reaches none of those at rest.
fn stuck(states: usize, resting: &[usize], mut backwards: Vec<(usize, usize)>) -> Option<usize> {
    backwards.sort_unstable();
    let mut reaches = vec![false; states];
    resting.iter().for_each(|at| reaches[*at] = true);
    let mut queue: VecDeque<usize> = resting.iter().copied().collect();
    while let Some(at) = queue.pop_front() {
        let first = backwards.partition_point(|(reached, _)| *reached < at);
        for (_, from) in backwards[first..].iter().take_while(|(reached, _)| *reached == at) {
            if !std::mem::replace(&mut reaches[*from], true) {
                queue.push_back(*from);
            }
        }
    }
    reaches.iter().position(|reaches| !reaches)
}
