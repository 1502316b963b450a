//! Threads that do nothing but hash, each with memory of its own.
//!
//! A hash on the runtime's own blocking threads would take hundreds of them at once, with 19 MiB
//! each that the allocator then keeps. Here there are as many as cores, their memory is taken once
//! and used again, the line before them is bounded, and they give way to the threads that answer
//! requests.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use argon2::Block;
use thread_priority::{ThreadPriority, ThreadPriorityValue, set_current_thread_priority};
use tokio::{sync::oneshot, time::timeout};

use super::error::HashError;

/// Argon2's blocks of 1 KiB, kept by one thread from its first hash on.
pub(super) struct Memory {
    kept: Vec<Block>,
    keep: usize,
}

impl Memory {
    /// Memory that keeps `keep` blocks once they were needed.
    pub(super) fn new(keep: usize) -> Self {
        Self {
            kept: Vec::new(),
            keep,
        }
    }

    /// Lends `count` blocks. More than are kept come fresh and go again.
    pub(super) fn lend<T>(
        &mut self,
        count: usize,
        work: impl FnOnce(&mut [Block]) -> T,
    ) -> Result<T, HashError> {
        if count > self.keep {
            return Ok(work(&mut allocate(count)?));
        }
        if self.kept.is_empty() {
            self.kept = allocate(self.keep)?;
        }
        Ok(work(&mut self.kept[..count]))
    }
}

/// An allocation that fails ends one job, not the process.
fn allocate(count: usize) -> Result<Vec<Block>, HashError> {
    let mut blocks = Vec::new();
    blocks.try_reserve_exact(count).map_err(|_| {
        log::error!("no memory for {count} KiB of Argon2 blocks");
        HashError::Failed
    })?;
    blocks.resize(count, Block::new());
    Ok(blocks)
}

/// The threads and the line before them. Dropping it ends the threads.
pub(super) struct Pool {
    shared: Arc<Shared>,
    wait: Duration,
}

struct Shared {
    queue: Mutex<Queue>,
    wake: Condvar,
    limit: usize,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    closed: bool,
}

struct Job {
    /// Tells the asker that the wait is over; fails if the asker has gone.
    started: oneshot::Sender<()>,
    work: Box<dyn FnOnce(&mut Memory) + Send>,
}

impl Pool {
    pub(super) fn start(
        threads: usize,
        limit: usize,
        wait: Duration,
        keep: usize,
    ) -> std::io::Result<Self> {
        let threads = match threads {
            0 => thread::available_parallelism().map_or(1, |cores| cores.get()),
            number => number,
        };
        let pool = Self {
            shared: Arc::new(Shared {
                queue: Mutex::default(),
                wake: Condvar::new(),
                limit,
            }),
            wait,
        };
        for number in 1..=threads {
            let shared = Arc::clone(&pool.shared);
            thread::Builder::new()
                .name(format!("security-hash-{number}"))
                .spawn(move || shared.serve(keep))?;
        }
        Ok(pool)
    }

    /// Runs `work` on one of the threads.
    ///
    /// If the caller stops waiting, work that was not begun is never done.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Memory) -> T + Send + 'static,
    ) -> Result<T, HashError> {
        let (started, has_started) = oneshot::channel();
        let (result, has_result) = oneshot::channel();
        self.shared.push(Job {
            started,
            work: Box::new(move |memory| drop(result.send(work(memory)))),
        })?;
        match timeout(self.wait, has_started).await {
            Ok(Ok(())) => has_result.await.map_err(|_| HashError::Failed),
            Ok(Err(_)) => Err(HashError::Failed),
            Err(_) => Err(HashError::Overloaded),
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let mut queue = self.shared.lock();
        queue.closed = true;
        queue.jobs.clear();
        self.shared.wake.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        // Nothing panics while it holds the lock, and the queue is whole at every step.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, job: Job) -> Result<(), HashError> {
        let mut queue = self.lock();
        if queue.jobs.len() >= self.limit {
            queue.jobs.retain(|job| !job.started.is_closed());
        }
        if queue.jobs.len() >= self.limit {
            return Err(HashError::Overloaded);
        }
        queue.jobs.push_back(job);
        self.wake.notify_one();
        Ok(())
    }

    fn next(&self) -> Option<Job> {
        let mut queue = self.lock();
        loop {
            if queue.closed {
                return None;
            }
            if let Some(job) = queue.jobs.pop_front() {
                return Some(job);
            }
            queue = self
                .wake
                .wait(queue)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn serve(&self, keep: usize) {
        step_back();
        let mut memory = Memory::new(keep);
        while let Some(job) = self.next() {
            if job.started.send(()).is_err() {
                continue;
            }
            if catch_unwind(AssertUnwindSafe(|| (job.work)(&mut memory))).is_err() {
                log::error!("hashing a password panicked; its request fails, the thread goes on");
            }
        }
    }
}

/// A quarter of the scale is about niceness 10 on Linux: behind the web workers, yet never starved.
fn step_back() {
    let lowered = ThreadPriorityValue::try_from(25u8)
        .map_err(|error| error.to_string())
        .and_then(|value| {
            set_current_thread_priority(ThreadPriority::Crossplatform(value))
                .map_err(|error| format!("{error:?}"))
        });
    if let Err(error) = lowered {
        log::debug!("a hashing thread keeps its priority: {error}");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn pool(limit: usize, wait: Duration) -> Pool {
        Pool::start(1, limit, wait, 8).unwrap()
    }

    /// Occupies the only thread until the sender is dropped. Its job waits without an end for its turn,
    /// however busy the machine is.
    async fn occupy(pool: &Arc<Pool>) -> mpsc::Sender<()> {
        let (release, released) = mpsc::channel::<()>();
        let (busy, is_busy) = oneshot::channel();
        let (started, _asker) = oneshot::channel();
        let work = move |_: &mut Memory| {
            busy.send(()).unwrap();
            let _ = released.recv();
        };
        let job = Job {
            started,
            work: Box::new(work),
        };
        pool.shared.push(job).unwrap();
        is_busy.await.unwrap();
        release
    }

    #[rocket::async_test]
    async fn beyond_the_limit_of_the_queue_it_is_overloaded() {
        let pool = Arc::new(pool(2, Duration::from_secs(60)));
        let release = occupy(&pool).await;
        let waiting: Vec<_> = (0..2)
            .map(|number| {
                let pool = Arc::clone(&pool);
                tokio::spawn(async move { pool.run(move |_| number).await })
            })
            .collect();
        while pool.shared.lock().jobs.len() < 2 {
            tokio::task::yield_now().await;
        }
        assert_eq!(pool.run(|_| 7).await, Err(HashError::Overloaded));
        drop(release);
        for (number, waiting) in waiting.into_iter().enumerate() {
            assert_eq!(waiting.await.unwrap(), Ok(number));
        }
    }

    #[rocket::async_test]
    async fn a_wait_has_an_end_and_its_job_is_never_done() {
        let pool = Arc::new(pool(2, Duration::from_millis(20)));
        let release = occupy(&pool).await;
        let (told, was_told) = mpsc::channel();
        let outcome = pool.run(move |_| told.send(())).await;
        assert!(matches!(outcome, Err(HashError::Overloaded)));
        drop(release);
        // The sender goes unused: the job was dropped.
        assert!(was_told.recv().is_err());
    }

    #[rocket::async_test]
    async fn an_asker_who_left_does_not_hold_a_place() {
        let pool = Arc::new(pool(1, Duration::from_secs(60)));
        let release = occupy(&pool).await;
        let gone = {
            let pool = Arc::clone(&pool);
            tokio::spawn(async move { pool.run(|_| ()).await })
        };
        while pool.shared.lock().jobs.is_empty() {
            tokio::task::yield_now().await;
        }
        gone.abort();
        assert!(gone.await.unwrap_err().is_cancelled());
        let next = {
            let pool = Arc::clone(&pool);
            tokio::spawn(async move { pool.run(|_| 5).await })
        };
        while pool.shared.lock().jobs[0].started.is_closed() {
            tokio::task::yield_now().await;
        }
        drop(release);
        assert_eq!(next.await.unwrap(), Ok(5));
    }

    #[rocket::async_test]
    async fn memory_is_kept_by_its_thread() {
        let pool = pool(4, Duration::from_secs(60));
        let place =
            |count| pool.run(move |memory| memory.lend(count, |blocks| blocks.as_ptr() as usize));
        let first = place(8).await.unwrap().unwrap();
        assert_eq!(place(8).await.unwrap().unwrap(), first);
        assert_eq!(place(3).await.unwrap().unwrap(), first);
        assert_ne!(place(9).await.unwrap().unwrap(), first);
        assert_eq!(place(8).await.unwrap().unwrap(), first);
    }

    #[cfg(target_os = "linux")]
    #[rocket::async_test]
    async fn the_threads_have_a_name_and_step_back() {
        let pool = pool(4, Duration::from_secs(60));
        let read = pool.run(|_| {
            let name = thread::current().name().map(str::to_owned);
            (name, std::fs::read_to_string("/proc/thread-self/stat"))
        });
        let (name, stat) = read.await.unwrap();
        assert_eq!(name.as_deref(), Some("security-hash-1"));
        let stat = stat.unwrap();
        let fields = stat.rsplit_once(')').unwrap().1;
        let niceness: i32 = fields.split_whitespace().nth(16).unwrap().parse().unwrap();
        assert!((5..=15).contains(&niceness), "{niceness}");
    }

    #[rocket::async_test]
    async fn a_panic_fails_its_own_job_only() {
        let pool = pool(4, Duration::from_secs(60));
        let outcome = pool.run(|_| panic!("on purpose")).await;
        assert_eq!(outcome, Err::<(), _>(HashError::Failed));
        assert_eq!(pool.run(|_| 1).await, Ok(1));
    }

    #[rocket::async_test]
    async fn dropping_the_pool_ends_its_threads() {
        let pool = pool(4, Duration::from_secs(60));
        let shared = Arc::downgrade(&pool.shared);
        pool.run(|_| ()).await.unwrap();
        drop(pool);
        for _ in 0..500 {
            if shared.strong_count() == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the thread lives on");
    }
}
