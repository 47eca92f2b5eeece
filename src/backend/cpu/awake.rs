//! Threads that stay awake from one op to the next.
//!
//! A thread that finds no work soon sleeps, and to wake it takes as long as many ops do: a product of 32 tokens with a
//! 576 × 576 weight takes 60 µs where a second thread sleeps before each, 35 µs where it does not.

use rayon::{ThreadPool, Yield};
use std::{
    hint::spin_loop,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

/// After so many looks for work in vain a thread lets others of the machine have its place, if any wait.
const LOOKS: usize = 64;

/// Runs `work` inside the pool, whose threads look for parts of it until it has ended. The caller is not one of them.
///
/// Where there are more threads than the machine can run at once, they would take time from each other, and sleep
/// as they do otherwise.
pub(super) fn awake<R: Send>(pool: &ThreadPool, work: impl FnOnce() -> R + Send) -> R {
    let threads = pool.current_num_threads();
    if threads == 1 || thread::available_parallelism().map_or(0, usize::from) < threads {
        return pool.install(work);
    }
    let (ended, started) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let guard = End(ended.clone());
    let all_started = started.clone();
    pool.spawn_broadcast(move |_| {
        started.fetch_add(1, Ordering::Relaxed);
        let mut looks = 0;
        while !ended.load(Ordering::Relaxed) {
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
    // Whoever began to look only while it waits for a part of the work would not return to it.
    while all_started.load(Ordering::Relaxed) < threads {
        thread::yield_now();
    }
    let result = pool.install(work);
    drop(guard);
    result
}

/// Tells the threads that the work has ended, also where it panicked.
struct End(Arc<AtomicBool>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
