//! Asking the kernel about pages, and moving them: `move_pages(2)` and `/proc/self/smaps`.
//!
//! Invariants, by letter, for the unsafe code below:
//! - (A) The kernel gets vectors of one length, which outlive the call. Addresses of pages that do not
//!   exist are answered with an error for that page; pages that move keep their contents.

#![allow(unsafe_code, reason = "the system call has no safe wrapper in std")]

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::ops::Range;

use super::mapping::page_size;
use super::report::Extent;
use crate::base::cpu::NumaNodeId;

/// `MPOL_MF_MOVE` of `linux/mempolicy.h`: pages of this program alone are moved.
const MOVE: libc::c_int = 1 << 1;

/// So many pages are asked about in one call.
const CHUNK: usize = 4096;

/// Where the pages of these ranges of addresses are.
pub(super) fn extent(ranges: &[Range<usize>]) -> io::Result<Extent> {
    let smaps = fs::read_to_string("/proc/self/smaps")?;
    let mut extent =
        Extent { bytes: ranges.iter().map(|range| range.len() as u64).sum(), ..Extent::default() };
    for area in areas(&smaps) {
        let overlap = |range: &Range<usize>| {
            let (start, end) = (range.start.max(area.addresses.start), range.end.min(area.addresses.end));
            end.saturating_sub(start) as u64
        };
        let bytes: u64 = ranges.iter().map(overlap).sum();
        if bytes > 0 {
            extent.page_size =
                if extent.page_size == 0 { area.page_size } else { extent.page_size.min(area.page_size) };
            // The area may hold other things too, so this is the most that it can be.
            extent.transparent += area.transparent.min(bytes);
            extent.locked += area.locked.min(bytes);
        }
    }
    if extent.page_size == 0 {
        extent.page_size = page_size() as u64;
    }
    let pages = pages(ranges, extent.page_size as usize);
    for chunk in pages.chunks(CHUNK) {
        for status in call(chunk, None)? {
            match u32::try_from(status) {
                Ok(node) => *extent.pages.entry(NumaNodeId(node)).or_default() += 1,
                Err(_negative) => extent.pages_absent += 1,
            }
        }
    }
    Ok(extent)
}

/// Moves the pages of these ranges to `node`, as far as that has room.
pub(super) fn move_to(ranges: &[Range<usize>], node: NumaNodeId) -> io::Result<()> {
    let pages = pages(ranges, page_size());
    pages.chunks(CHUNK).try_for_each(|chunk| call(chunk, Some(node)).map(drop))
}

/// The addresses of the pages that these ranges touch, each once.
fn pages(ranges: &[Range<usize>], size: usize) -> Vec<usize> {
    let ranges = ranges.iter().filter(|range| !range.is_empty());
    let pages: BTreeSet<_> = ranges.flat_map(|range| range.start / size..range.end.div_ceil(size)).collect();
    pages.into_iter().map(|page| page * size).collect()
}

/// By page its node, or an error's number, negative; after the pages were moved to `node`.
fn call(pages: &[usize], node: Option<NumaNodeId>) -> io::Result<Vec<libc::c_int>> {
    let nodes = node.map(|node| vec![node.0 as libc::c_int; pages.len()]);
    let mut statuses = vec![-libc::ENOENT; pages.len()];
    const SELF: libc::c_int = 0;
    // SAFETY: (A).
    let result = unsafe {
        libc::syscall(
            libc::SYS_move_pages,
            SELF,
            pages.len(),
            pages.as_ptr(),
            nodes.as_ref().map_or(std::ptr::null(), |nodes| nodes.as_ptr()),
            statuses.as_mut_ptr(),
            MOVE,
        )
    };
    // Above 0 is the number of pages that could not be moved; the report tells where they are.
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(statuses) }
}

/// What `smaps` tells of an area of the address space; in bytes.
#[derive(Debug, Default, PartialEq)]
struct Area {
    addresses: Range<usize>,
    page_size: u64,
    transparent: u64,
    locked: u64,
}

fn areas(smaps: &str) -> Vec<Area> {
    let mut areas: Vec<Area> = Vec::new();
    for line in smaps.lines() {
        let mut words = line.split_ascii_whitespace();
        let Some(first) = words.next() else { continue };
        if let Some(addresses) = addresses(first) {
            areas.push(Area { addresses, ..Area::default() });
        } else if let (Some(area), Some(kib)) =
            (areas.last_mut(), words.next().and_then(|kib| kib.parse::<u64>().ok()))
        {
            match first {
                "KernelPageSize:" => area.page_size = 1024 * kib,
                "AnonHugePages:" => area.transparent = 1024 * kib,
                "Locked:" => area.locked = 1024 * kib,
                _ => {}
            }
        }
    }
    areas
}

/// As in `7f00-8000`, in hexadecimal.
fn addresses(word: &str) -> Option<Range<usize>> {
    let (start, end) = word.split_once('-')?;
    Some(usize::from_str_radix(start, 16).ok()?..usize::from_str_radix(end, 16).ok()?)
}

#[cfg(test)]
mod tests {
    use super::{Area, areas, extent, pages};

    #[test]
    fn smaps_is_read_area_by_area() {
        let smaps = "1000-3000 rw-p 00000000 00:00 0   [heap]\nKernelPageSize:        4 kB\nLocked: 8 kB\n\
                     VmFlags: rd wr\nffff0000-ffff1000 r--p 0 0 0\nAnonHugePages:      2048 kB\n";
        let heap = Area { addresses: 0x1000..0x3000, page_size: 4096, transparent: 0, locked: 8192 };
        let other = Area { addresses: 0xffff_0000..0xffff_1000, transparent: 2 << 20, ..Area::default() };
        assert_eq!(areas(smaps), [heap, other]);
    }

    #[test]
    fn ranges_that_share_a_page_count_it_once() {
        assert_eq!(pages(&[10..20, 4000..4097, 8192..8192], 4096), [0, 4096]);
    }

    #[test]
    fn memory_that_was_written_is_somewhere() {
        let memory = vec![1_u8; 100_000];
        let start = memory.as_ptr() as usize;
        // A sandbox may forbid the call; the script for the emulated machine does not.
        let addresses = start..start + memory.len();
        if let Ok(extent) = extent(std::slice::from_ref(&addresses)) {
            assert_eq!(extent.bytes, 100_000);
            assert_eq!(extent.pages_absent, 0, "{extent}");
            assert!(extent.page_size >= 4096 && extent.pages.values().sum::<u64>() >= 24, "{extent}");
        }
    }
}
