//! What this broker knows of the cluster: an image, replaced whole whenever ZooKeeper shows a change.

mod image;
mod refresh;

use std::sync::Arc;

use tokio::sync::Notify;

use crate::runtime::lock::Mutex;
use crate::runtime::{Elapsed, Instant, clock};

#[cfg(test)]
pub(super) use image::TopicImage;
pub(super) use image::{Image, Leader, PartitionImage};
pub(super) use refresh::Refresh;

#[cfg(test)]
pub(super) use image::tests as image_tests;

/// Holds the image in force.
#[derive(Default)]
pub(super) struct Metadata {
    image: Mutex<Arc<Image>>,
    changed: Notify,
}

impl Metadata {
    pub fn image(&self) -> Arc<Image> {
        Arc::clone(&self.image.lock().expect("image"))
    }

    pub fn publish(&self, image: Image) {
        *self.image.lock().expect("image") = Arc::new(image);
        self.changed.notify_waiters();
    }

    /// Waits until the image satisfies `condition`.
    pub async fn wait_for(
        &self,
        deadline: Instant,
        condition: impl Fn(&Image) -> bool,
    ) -> Result<Arc<Image>, Elapsed> {
        let satisfied = async {
            loop {
                let changed = self.changed.notified();
                tokio::pin!(changed);
                // Listening begins before the look, so that a change in between is not missed.
                changed.as_mut().enable();
                let image = self.image();
                if condition(&image) {
                    return image;
                }
                changed.await;
            }
        };
        clock::timeout(deadline - clock::now(), satisfied).await
    }
}
