//! Many hosts at once: bounded width, one deadline for all, and an answer for every host, whatever happens.
//!
//! Knows nothing of SSH: the work on one item is a future. A worker that hangs costs its own place until it is stopped;
//! one that panics costs its own answer. How wide it is when nobody said is `pace`'s rule over what `meter` measures.

mod meter;
mod pace;

use std::collections::BTreeMap;
use std::future::Future;
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, Stream, StreamExt, stream};
use tokio::task::JoinError;

use self::pace::{Load, Pace};
use crate::interrupt::Interrupt;

pub use self::pace::Width;

/// Why an item was given up.
#[derive(Debug)]
pub enum Stopped {
    /// The user interrupted the run.
    Interrupted,
    /// The run's deadline passed.
    Deadline,
    /// The work itself broke; a defect of this program.
    Broken(JoinError),
}

/// When to give up everything that is not done.
#[derive(Debug, Clone)]
pub struct Stop {
    pub interrupt: Interrupt,
    pub deadline: Option<Instant>,
}

impl Stop {
    async fn wait(&mut self) -> Stopped {
        let deadline = self.deadline;
        let expired = async move {
            match deadline {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.interrupt.wait() => Stopped::Interrupted,
            () = expired => Stopped::Deadline,
        }
    }
}

/// The items with those of each group spread out: the first of every group, then the second of every group, and so on. What
/// all of a group have to share (a jump host) is then shared by few at a time, and a slow group does not stand before the others.
pub fn in_turn<T, K: Ord>(items: Vec<T>, group: impl Fn(&T) -> K) -> Vec<T> {
    let mut sizes: BTreeMap<K, usize> = BTreeMap::new();
    let place = |item: T| {
        let size = sizes.entry(group(&item)).or_default();
        *size += 1;
        (*size, item)
    };
    let mut placed: Vec<(usize, T)> = items.into_iter().map(place).collect();
    placed.sort_by_key(|(place, _)| *place);
    placed.into_iter().map(|(_, item)| item).collect()
}

/// Runs `work` for every item, each as a task of its own, so many at a time as `width` says. Yields in the order of completion.
///
/// After the stop nothing new is started, and what runs is dropped: every item still gets its answer.
pub fn fan_out<T, W, F, R>(
    items: Vec<T>,
    width: Width,
    stop: Stop,
    work: W,
) -> impl Stream<Item = (T, Result<R, Stopped>)>
where
    T: Clone + Send + 'static,
    W: Fn(T) -> F,
    F: Future<Output = R> + Send + 'static,
    R: Send + 'static,
{
    let loads = if width.may_change() { meter::loads().boxed() } else { stream::pending().boxed() };
    paced(items, width, loads, stop, work)
}

/// An answer, and how long its item took.
type Answered<T, R> = (T, Result<R, Stopped>, Duration);

struct Run<T: 'static, R: 'static, L> {
    waiting: std::vec::IntoIter<T>,
    running: FuturesUnordered<BoxFuture<'static, Answered<T, R>>>,
    pace: Pace,
    loads: L,
}

fn paced<T, W, F, R>(
    items: Vec<T>,
    width: Width,
    loads: impl Stream<Item = Load> + Unpin,
    stop: Stop,
    work: W,
) -> impl Stream<Item = (T, Result<R, Stopped>)>
where
    T: Clone + Send + 'static,
    W: Fn(T) -> F,
    F: Future<Output = R> + Send + 'static,
    R: Send + 'static,
{
    let start = move |item: T| {
        let (future, mut stop) = (work(item.clone()), stop.clone());
        let begun = tokio::time::Instant::now();
        // A task, so that the cores share the work; it ends by itself at the stop, since dropping its handle would not.
        let task = tokio::spawn(async move {
            tokio::select! {
                biased;
                stopped = stop.wait() => Err(stopped),
                result = future => Ok(result),
            }
        });
        async move { (item, task.await.unwrap_or_else(|error| Err(Stopped::Broken(error))), begun.elapsed()) }.boxed()
    };
    let run = Run { waiting: items.into_iter(), running: FuturesUnordered::new(), pace: Pace::new(width), loads };
    stream::unfold((run, start), async |(mut run, start)| {
        loop {
            let free = run.pace.now().saturating_sub(run.running.len());
            run.running.extend(run.waiting.by_ref().take(free).map(&start));
            tokio::select! {
                // The load first: where answers keep coming, it would never have its turn.
                biased;
                Some(load) = run.loads.next(), if run.waiting.len() > 0 => {
                    run.pace.next(load);
                }
                Some((item, result, took)) = run.running.next() => {
                    run.pace.done(took);
                    return Some(((item, result), (run, start)));
                }
                else => return None,
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;

    fn never() -> Stop {
        Stop { interrupt: Interrupt::never(), deadline: None }
    }

    #[test]
    fn groups_take_turns_and_keep_their_own_order() {
        let items = vec!["a1", "a2", "a3", "b1", "c1", "c2"];
        assert_eq!(in_turn(items.clone(), |item| item.chars().next()), ["a1", "b1", "c1", "a2", "c2", "a3"]);
        assert_eq!(in_turn(items.clone(), |_| ()), items);
    }

    #[tokio::test]
    async fn every_item_is_answered_and_the_width_is_kept() {
        let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let work = {
            let most = Arc::clone(&most);
            move |item: usize| {
                let (running, most) = (Arc::clone(&running), Arc::clone(&most));
                async move {
                    most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    for _ in 0..item % 7 {
                        tokio::task::yield_now().await;
                    }
                    running.fetch_sub(1, Ordering::SeqCst);
                    item * 2
                }
            }
        };
        let mut results: Vec<_> = fan_out((0..100).collect(), Width::exactly(8), never(), work)
            .map(|(item, result)| (item, result.ok()))
            .collect()
            .await;
        results.sort_unstable();
        assert_eq!(results, (0..100).map(|item| (item, Some(item * 2))).collect::<Vec<_>>());
        let most = most.load(Ordering::SeqCst);
        assert!((2..=8).contains(&most), "{most} at once");
    }

    #[tokio::test(start_paused = true)]
    async fn the_deadline_answers_for_those_that_hang_and_those_not_started() {
        let stop = Stop {
            interrupt: Interrupt::never(),
            deadline: Some(tokio::time::Instant::now().into_std() + Duration::from_secs(5)),
        };
        let work = |item: usize| async move {
            if item == 1 {
                std::future::pending::<()>().await;
            }
            item
        };
        let results: Vec<_> = fan_out(vec![0, 1, 2], Width::exactly(1), stop, work).collect().await;
        assert!(matches!(results[..], [(0, Ok(0)), (1, Err(Stopped::Deadline)), (2, Err(Stopped::Deadline))]));
    }

    #[tokio::test]
    async fn a_panic_costs_one_answer() {
        let work = |item: usize| async move {
            assert_ne!(item, 1, "a defect");
            item
        };
        let results: Vec<_> = fan_out(vec![0, 1, 2], Width::exactly(1), never(), work).collect().await;
        assert!(matches!(results[..], [(0, Ok(0)), (1, Err(Stopped::Broken(_))), (2, Ok(2))]));
    }

    #[tokio::test]
    async fn the_width_changes_while_it_runs() {
        let (load, loads) = tokio::sync::mpsc::unbounded_channel();
        let loads = stream::unfold(loads, async |mut loads| Some((loads.recv().await?, loads))).boxed();
        let places = Arc::new(tokio::sync::Semaphore::new(0));
        let running = Arc::new(AtomicUsize::new(0));
        let work = {
            let (places, running) = (Arc::clone(&places), Arc::clone(&running));
            move |_: usize| {
                let (places, running) = (Arc::clone(&places), Arc::clone(&running));
                async move {
                    running.fetch_add(1, Ordering::SeqCst);
                    places.acquire().await.unwrap().forget();
                    running.fetch_sub(1, Ordering::SeqCst);
                }
            }
        };
        let mut results = Box::pin(paced((0..100).collect(), Width::between(2, 4, 50), loads, never(), work));
        // Polls until nothing moves any more: the tasks share this one thread.
        let mut settle = async |answers: usize| {
            places.add_permits(answers);
            for _ in 0..answers {
                let (_, answer) = results.next().await.unwrap();
                answer.unwrap();
            }
            for _ in 0..10 {
                assert!(results.next().now_or_never().is_none());
                tokio::task::yield_now().await;
            }
            running.load(Ordering::SeqCst)
        };
        assert_eq!(settle(0).await, 4);
        assert_eq!(settle(4).await, 4);
        load.send(Load { own: 0.1, machine: None }).unwrap();
        assert_eq!(settle(0).await, 6, "half as many again for the four that were done");
        (0..20).for_each(|_| load.send(Load { own: 1.0, machine: None }).unwrap());
        assert_eq!(settle(4).await, 2, "nothing is begun while more run than may");
    }
}
