//! Threads that stay awake from one op to the next.
//!
//! A thread that finds no work soon sleeps, and to wake it takes as long as many ops do: a product of 32 tokens with a
//! 576 × 576 weight takes 60 µs where a second thread sleeps before each, 35 µs where it does not.

use rayon::{ThreadPool, Yield};
use std::{
    hint::spin_loop,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

/// After so many looks for work in vain a thread lets others of the machine have its place, if any wait.
const LOOKS: usize = 64;

/// Who keeps the threads of a pool awake.
///
/// A thread that began to look for work while it waits for a part of some op would not return to that op before it may
/// sleep. So the threads begin while no op of another caller runs.
#[derive(Default)]
pub(super) struct Awake {
    watch: Mutex<Watch>,
    quiet: Condvar,
}

/// Invariant: while there are callers, every thread of the pool looks for work until `ended`.
#[derive(Default)]
struct Watch {
    /// Ops from outside the pool that are running.
    ops: usize,
    /// Those whose work keeps the threads awake.
    callers: usize,
    ended: Arc<AtomicBool>,
}

impl Awake {
    /// Runs `work` inside the pool, whose threads look for parts of it until it has ended. The caller is not one of them.
    ///
    /// Where there are more threads than the machine can run at once, they would take time from each other, and sleep
    /// as they do otherwise.
    pub(super) fn install<R: Send>(&self, pool: &ThreadPool, work: impl FnOnce() -> R + Send) -> R {
        let threads = pool.current_num_threads();
        if threads == 1 || thread::available_parallelism().map_or(0, usize::from) < threads {
            return pool.install(work);
        }
        let _caller = self.begin(pool);
        pool.install(work)
    }

    /// Runs an op inside the pool. The caller is none of its threads.
    pub(super) fn once<R: Send>(&self, pool: &ThreadPool, op: impl FnOnce() -> R + Send) -> R {
        self.watch().ops += 1;
        let _running = Running(self);
        pool.install(op)
    }

    /// One caller more; when this returns, the threads are awake.
    fn begin(&self, pool: &ThreadPool) -> Caller<'_> {
        let busy = |watch: &mut Watch| watch.callers == 0 && watch.ops > 0;
        let mut watch = self.quiet.wait_while(self.watch(), busy).unwrap_or_else(PoisonError::into_inner);
        if watch.callers == 0 {
            watch.ended = keep_awake(pool);
        }
        watch.callers += 1;
        Caller(self)
    }

    fn watch(&self) -> MutexGuard<'_, Watch> {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An op that is running; dropped also where it panicked.
struct Running<'a>(&'a Awake);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let mut watch = self.0.watch();
        watch.ops -= 1;
        if watch.ops == 0 {
            self.0.quiet.notify_all();
        }
    }
}

/// A caller whose work has not ended; dropped also where it panicked.
struct Caller<'a>(&'a Awake);

impl Drop for Caller<'_> {
    fn drop(&mut self) {
        let mut watch = self.0.watch();
        watch.callers -= 1;
        if watch.callers == 0 {
            watch.ended.store(true, Ordering::Relaxed);
        }
    }
}

/// Has every thread of the pool look for work until the result becomes true.
fn keep_awake(pool: &ThreadPool) -> Arc<AtomicBool> {
    let (ended, started) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let (until, all_started) = (ended.clone(), started.clone());
    pool.spawn_broadcast(move |_| {
        started.fetch_add(1, Ordering::Relaxed);
        let mut looks = 0;
        while !until.load(Ordering::Relaxed) {
            if rayon::yield_now() == Some(Yield::Executed) {
                looks = 0;
                continue;
            }
            looks += 1;
            if looks % LOOKS == 0 {
                thread::yield_now();
            }
            spin_loop();
        }
    });
    while all_started.load(Ordering::Relaxed) < pool.current_num_threads() {
        thread::yield_now();
    }
    ended
}

#[cfg(test)]
mod tests {
    use super::{super::Cpu, *};
    use rayon::prelude::*;
    use std::{
        panic::{AssertUnwindSafe, catch_unwind},
        sync::{Barrier, mpsc},
        time::{Duration, Instant},
    };

    /// Many times what any of the tests takes.
    const LONG: Duration = Duration::from_secs(30);

    fn cpu() -> Cpu {
        Cpu::new(Some(2)).expect("two threads")
    }

    /// The result of `run`, which must not take long.
    fn soon<R: Send + 'static>(run: impl FnOnce() -> R + Send + 'static) -> R {
        let (send, receive) = mpsc::channel();
        thread::spawn(move || send.send(run()));
        receive.recv_timeout(LONG).expect("no thread waits for ever, and none panics")
    }

    /// A sum that both threads work at.
    fn sum(cpu: &Cpu) -> u64 {
        cpu.pooled(|| {
            (0..10_000_u32).into_par_iter().with_max_len(100).map(|i| u64::from(i) * u64::from(i)).sum()
        })
    }

    /// Waits until no thread holds what it looks at any more.
    fn assert_released(ended: &Arc<AtomicBool>) {
        let started = Instant::now();
        while Arc::strong_count(ended) > 2 {
            assert!(started.elapsed() < LONG, "threads stay awake");
            thread::yield_now();
        }
    }

    #[test]
    fn results_are_those_of_the_pool_alone() {
        let (alone, installed, nested) = soon(|| {
            let cpu = cpu();
            let twice = cpu.install(|| cpu.install(|| cpu.install(|| sum(&cpu))));
            (sum(&cpu), cpu.install(|| sum(&cpu)), twice)
        });
        assert_eq!((installed, nested), (alone, alone));
    }

    #[test]
    fn a_panic_releases_the_threads() {
        let (cpu, ended) = soon(|| {
            let (cpu, mut ended) = (cpu(), None);
            let work = || {
                ended = Some(cpu.awake.watch().ended.clone());
                sum(&cpu);
                panic!("on purpose");
            };
            let payload = catch_unwind(AssertUnwindSafe(|| cpu.install(work))).expect_err("a panic");
            assert_eq!(payload.downcast_ref(), Some(&"on purpose"));
            (cpu, ended.expect("the work began"))
        });
        assert_released(&ended);
        assert_eq!(cpu.awake.watch().callers, 0);
        assert_eq!(soon(move || [sum(&cpu), cpu.install(|| sum(&cpu))]), [sum(&self::cpu()); 2]);
    }

    #[test]
    fn callers_at_once_do_not_wait_for_each_other() {
        // Each piece of work waits for the other one's: in turn, they would wait for ever.
        let cpu = cpu();
        for _ in 0..100 {
            let both = Arc::new(Barrier::new(2));
            let [a, b] = [(); 2].map(|()| {
                let (cpu, both) = (cpu.clone(), both.clone());
                move || {
                    cpu.install(|| {
                        both.wait();
                        sum(&cpu)
                    })
                }
            });
            let sums = soon(move || {
                let other = thread::spawn(a);
                [b(), other.join().expect("no panic")]
            });
            assert_eq!(sums, [sum(&cpu); 2]);
        }
        let ended = cpu.awake.watch().ended.clone();
        assert_released(&ended);
    }

    #[test]
    fn an_op_that_runs_already_is_not_held_up() {
        // One thread waits for the other's half of the op when work is installed that waits for the op.
        let cpu = cpu();
        let (begun, op_begun) = mpsc::channel();
        let (done, op_done) = mpsc::channel();
        let other = cpu.clone();
        let op = thread::spawn(move || {
            let both = Barrier::new(2);
            let half = || {
                both.wait();
            };
            other.pooled(|| {
                rayon::join(half, || {
                    half();
                    begun.send(()).expect("a receiver");
                    thread::sleep(Duration::from_millis(50));
                })
            });
            done.send(()).expect("a receiver");
        });
        soon(move || {
            op_begun.recv().expect("the op begins");
            cpu.install(move || op_done.recv().expect("the op ends"));
        });
        op.join().expect("no panic");
    }
}
