//! Asking for a cache line before its turn. A hint: it reads nothing, changes nothing, and cannot fault.

#![allow(unsafe_code)]

/// Asks for the line in which a value begins.
#[inline(always)]
pub fn prefetch<T>(value: &T) {
    prefetch_at(value, 0);
}

/// Asks for the line `bytes` bytes behind the beginning of a value; of nothing beyond its end.
#[inline(always)]
pub fn prefetch_at<T>(value: &T, bytes: usize) {
    let at = bytes.min(size_of::<T>().saturating_sub(1));
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every x86-64 has the instruction; it accesses no memory as far as the program can tell, whatever the
    // address, and this one is within a live value.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(value).cast::<i8>().wrapping_add(at));
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_value_can_be_asked_for_and_stays_as_it_is() {
        let values = [7u64; 64];
        values.iter().for_each(prefetch);
        prefetch(&());
        [0, 64, 511, 512, usize::MAX].into_iter().for_each(|at| prefetch_at(&values, at));
        assert_eq!(values, [7; 64]);
    }
}
