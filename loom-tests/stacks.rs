//! Keeps the stacks of loom's threads from one execution to the next.
//!
//! loom makes each thread of each execution a stack of its own, by `mmap`, and unmaps it
//! at the end. That, and the page faults on fresh memory, is two thirds of the time of a
//! model. So the test program has an `mmap` and a `munmap` of its own, which keep what is a
//! stack in a list, and pass everything else on. They are found before libc's, whose own
//! calls do not come here.

use std::ffi::{c_int, c_long, c_void};
use std::ptr;
use std::sync::{Mutex, PoisonError};

/// How the stacks are asked for; nobody else asks like this.
const STACK: c_int = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_STACK;

#[derive(Clone, Copy)]
struct Stack {
    address: usize,
    length: usize,
    used: bool,
}

/// As many as the threads of one execution, so a walk is short.
static STACKS: Mutex<Vec<Stack>> = Mutex::new(Vec::new());

/// # Safety
///
/// As libc's.
#[unsafe(no_mangle)]
unsafe extern "C" fn mmap(
    address: *mut c_void,
    length: usize,
    protection: c_int,
    flags: c_int,
    file: c_int,
    offset: libc::off_t,
) -> *mut c_void {
    // SAFETY: the caller's promise.
    let map = || unsafe {
        libc::syscall(
            libc::SYS_mmap,
            address,
            length,
            protection,
            flags,
            file,
            offset,
        )
    };
    if flags != STACK {
        return ptr::with_exposed_provenance_mut(map() as usize);
    }
    let mut stacks = STACKS.lock().unwrap_or_else(PoisonError::into_inner);
    let kept = stacks
        .iter_mut()
        .find(|stack| !stack.used && stack.length == length);
    let address = match kept {
        // Its lowest page is still the guard that its first user made of it.
        Some(stack) => {
            stack.used = true;
            stack.address
        }
        None => {
            let address = map() as usize;
            if address as c_long != -1 {
                stacks.push(Stack {
                    address,
                    length,
                    used: true,
                });
            }
            address
        }
    };
    ptr::with_exposed_provenance_mut(address)
}

/// # Safety
///
/// As libc's.
#[unsafe(no_mangle)]
unsafe extern "C" fn munmap(address: *mut c_void, length: usize) -> c_int {
    let mut stacks = STACKS.lock().unwrap_or_else(PoisonError::into_inner);
    match stacks
        .iter_mut()
        .find(|stack| stack.address == address.expose_provenance())
    {
        Some(stack) => {
            stack.used = false;
            0
        }
        // SAFETY: the caller's promise.
        None => unsafe { libc::syscall(libc::SYS_munmap, address, length) as c_int },
    }
}
