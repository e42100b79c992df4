//! Asks the CPU to fetch a cache line before it is needed.
//!
//! Invariants, by letter, for the unsafe code below:
//! - (A) A prefetch is a hint: it reads and writes nothing that a program can see, and an address
//!   that is not mapped is passed over.

#![allow(unsafe_code, reason = "the instruction has no safe face in std")]

/// Fetches the cache line of `target`, to read it.
///
/// Does nothing where the CPU's instruction is not known here: the load will fetch the line itself.
#[inline(always)]
pub fn for_read<T>(target: *const T) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    // SAFETY: (A).
    unsafe {
        std::arch::asm!("prefetcht0 [{}]", in(reg) target, options(nostack, preserves_flags, readonly));
    }
    #[cfg(all(target_arch = "aarch64", not(miri)))]
    // SAFETY: (A).
    unsafe {
        std::arch::asm!("prfm pldl1keep, [{}]", in(reg) target, options(nostack, preserves_flags, readonly));
    }
    #[cfg(any(miri, not(any(target_arch = "x86_64", target_arch = "aarch64"))))]
    let _ = target;
}

/// Fetches the cache line of `target`, and the right to write it.
///
/// Does nothing where the CPU's instruction is not known here: the store will fetch the line itself.
#[inline(always)]
pub fn for_write<T>(target: *const T) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    // SAFETY: (A); a CPU without the instruction executes it as a no-op.
    unsafe {
        std::arch::asm!("prefetchw [{}]", in(reg) target, options(nostack, preserves_flags, readonly));
    }
    #[cfg(all(target_arch = "aarch64", not(miri)))]
    // SAFETY: (A).
    unsafe {
        std::arch::asm!("prfm pstl1keep, [{}]", in(reg) target, options(nostack, preserves_flags, readonly));
    }
    #[cfg(any(miri, not(any(target_arch = "x86_64", target_arch = "aarch64"))))]
    let _ = target;
}

#[cfg(test)]
mod tests {
    #[test]
    fn any_address_will_do() {
        super::for_read(&1_u8);
        super::for_read(std::ptr::null::<u64>());
        super::for_write(&1_u8);
        super::for_write(std::ptr::null::<u64>());
    }
}
