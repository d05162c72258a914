//! The product's file on atomics with a planted bug: what has to be one step is two, a look and a write.

mod atomics {
    pub use shuttle::sync::atomic::Ordering;

    #[derive(Debug)]
    pub struct AtomicU64(shuttle::sync::atomic::AtomicU64);

    impl AtomicU64 {
        pub fn new(value: u64) -> AtomicU64 {
            AtomicU64(shuttle::sync::atomic::AtomicU64::new(value))
        }

        pub fn load(&self, order: Ordering) -> u64 {
            self.0.load(order)
        }

        /// The order of the whole operation is asked for by the product, and of no use here.
        pub fn compare_exchange(&self, old: u64, new: u64, _: Ordering, _: Ordering) -> Result<u64, u64> {
            let present = self.0.load(Ordering::SeqCst);
            if present != old {
                return Err(present);
            }
            self.0.store(new, Ordering::SeqCst);
            Ok(old)
        }

        pub fn fetch_or(&self, bits: u64, _: Ordering) -> u64 {
            let present = self.0.load(Ordering::SeqCst);
            self.0.store(present | bits, Ordering::SeqCst);
            present
        }
    }
}

#[path = "../../../src/consumer/lease/shared_half.rs"]
#[allow(dead_code)]
pub mod shared_half;
