//! Waiting for what happens in its own time: in another process, in a browser, or in a task of the site.

use std::time::{Duration, Instant};

/// Long enough for a machine that does something else beside. Only a test that fails waits so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// Asks again and again until `look` finds something, and returns that.
pub async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let began = Instant::now();
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "waited in vain for {what}");
        rocket::tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}
