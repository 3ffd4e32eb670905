use super::*;
use proptest::prelude::*;
use std::sync::Barrier;

#[test]
fn all_the_money_can_be_taken_wherever_it_lies() {
    let till = Till::with(3);
    till.add(100);
    assert_eq!(till.take(0, 10), Ok(Drawn::Common(90)));
    assert_eq!(till.take(0, 15), Ok(Drawn::Own), "what was taken beside it");
    assert_eq!(till.take(1, 70), Ok(Drawn::Common(5)));
    till.end(1, 70, 60);
    assert_eq!(till.free(), 65);
    assert_eq!(till.take(2, 66), Err(1));
    assert_eq!(till.take(2, 65), Ok(Drawn::Common(0)), "out of the others' drawers");
    assert_eq!(till.take(0, 1), Err(1));
    assert_eq!((till.taken(), till.ended(), till.free()), (160, 70, 0), "what was refused is not counted");
}

#[test]
fn emptied_it_has_nothing_but_what_comes_back() {
    let till = Till::with(2);
    till.add(50);
    assert!(till.take(0, 20).is_ok() && till.take(1, 5).is_ok());
    assert_eq!(till.empty(), 25);
    assert_eq!((till.free(), till.empty()), (0, 0));
    assert_eq!(till.take(1, 1), Err(1));
    till.end(0, 20, 12);
    assert_eq!((till.free(), till.take(1, 12)), (12, Ok(Drawn::Common(0))));
}

#[test]
fn threads_find_every_coin_and_none_twice() {
    const THREADS: usize = 4;
    const COINS: i64 = 40_000;
    let till = Till::with(THREADS);
    till.add(COINS);
    let start = Barrier::new(THREADS);
    let found: i64 = thread::scope(|scope| {
        let seats: Vec<_> = (0..THREADS)
            .map(|seat| {
                let (till, start) = (&till, &start);
                scope.spawn(move || {
                    start.wait();
                    let mut spent = 0;
                    // Holds three, spends two.
                    while till.take(seat, 3).is_ok() {
                        spent += 2;
                        till.end(seat, 3, 1);
                    }
                    spent
                })
            })
            .collect();
        seats.into_iter().map(|seat| seat.join().unwrap()).sum()
    });
    assert_eq!(found + till.free(), COINS);
    assert!(
        till.free() < 3,
        "what is left is less than a hold, and not because somebody else held it: {}",
        till.free()
    );
    assert_eq!(till.taken(), till.ended());
}

#[test]
fn a_count_is_the_sum_of_all_threads() {
    let count = Count::default();
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| (0..100).for_each(|_| count.add()));
        }
    });
    assert_eq!(count.sum(), 800);
}

proptest! {
    #[test]
    fn money_is_neither_made_nor_lost(steps in prop::collection::vec((0..4_u8, 0..3_usize, 1..500_i64), 1..200)) {
        let till = Till::with(3);
        let (mut all, mut held) = (0, Vec::new());
        for (step, seat, amount) in steps {
            match step {
                0 => {
                    till.add(amount);
                    all += amount;
                }
                1 => match till.take(seat, amount) {
                    Ok(_) => {
                        all -= amount;
                        held.push((seat, amount));
                    }
                    Err(missing) => prop_assert_eq!(missing, amount - all),
                },
                2 => if let Some((seat, amount)) = held.pop() {
                    let back = amount / 2;
                    till.end(seat, amount, back);
                    all += back;
                },
                _ => {
                    prop_assert_eq!(till.empty(), all);
                    all = 0;
                }
            }
            prop_assert_eq!(till.free(), all);
            prop_assert_eq!(till.taken() - till.ended(), held.iter().map(|(_, amount)| amount).sum::<i64>());
        }
    }
}

#[test]
fn a_thread_knows_its_own_drawer_and_what_the_others_had_a_moment_ago() {
    let till = Till::with(2);
    till.add(100);
    assert_eq!((till.about(0, 5), till.common()), (100, 100));
    assert_eq!(till.take(1, 40), Ok(Drawn::Common(60)));
    assert_eq!(till.about(0, 5), 100, "in the same millisecond");
    assert_eq!((till.about(0, 6), till.about(1, 6)), (60, 60));
    till.end(1, 40, 10);
    assert_eq!((till.about(1, 6), till.about(0, 6), till.about(0, 7)), (70, 60, 70));
    assert!(till.common() <= till.free());
}
