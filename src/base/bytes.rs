//! Byte queues out of one common pool: what waits to be sent and acknowledged, and what an application has not
//! taken yet. A queue is a chain of pieces; a piece is a chunk of the pool, bytes that live for ever, or bytes that
//! the application shares until they are out of the queue. Nothing is allocated after the pool was made.

use std::sync::Arc;

use super::pages::{self, Table};

/// Bytes in a chunk of the pool.
pub const CHUNK: usize = 512;

/// Most pieces of static bytes in one queue.
pub const STATIC_PIECES_MAX: u16 = 16;

/// Most pieces of lent bytes in a queue that takes shared ones.
pub const SHARED_PIECES_MAX: u16 = 64;

const NONE: u32 = u32::MAX;

/// Where a piece's bytes are.
enum Source {
    /// In the pool's chunk with the piece's number.
    Chunk,
    Static(&'static [u8]),
    Shared(Arc<[u8]>),
}

impl Source {
    const fn is_lent(&self) -> bool {
        !matches!(self, Source::Chunk)
    }
}

struct Piece {
    source: Source,
    /// First and last used byte of the chunk or slice.
    start: u32,
    end: u32,
    next: u32,
}

/// The common memory of all queues of a shard.
pub struct Pool {
    pieces: Table<Piece>,
    chunks: Table<[u8; CHUNK]>,
    free: u32,
    free_count: u32,
}

/// A queue of bytes. Empty queues hold nothing of the pool. A queue must be given back by [`Pool::clear`].
#[derive(Clone, Copy, Debug)]
pub struct Queue {
    head: u32,
    tail: u32,
    len: u32,
    lent_len: u32,
    lent: u16,
    /// A piece that is found without a walk, and how many bytes are before it.
    mark: u32,
    before_mark: u32,
}

impl Default for Queue {
    fn default() -> Self {
        Queue { head: NONE, tail: NONE, len: 0, lent_len: 0, lent: 0, mark: NONE, before_mark: 0 }
    }
}

impl Queue {
    /// Bytes in the queue.
    pub fn len(&self) -> u32 {
        self.len
    }

    /// Bytes of the queue that take memory of the pool; those that are lent do not.
    pub fn copied(&self) -> u32 {
        self.len - self.lent_len
    }

    /// The piece from which the byte at `offset` is looked for, and how many bytes are before it.
    fn start_for(&self, offset: u32) -> (u32, u32) {
        let near = self.mark != NONE && offset >= self.before_mark;
        if near { (self.mark, self.before_mark) } else { (self.head, 0) }
    }

    /// The queue's only piece, and whether it is lent; `None` when there is none, or another one.
    pub fn only_piece(&self) -> Option<(u32, bool)> {
        let one = self.head == self.tail && self.head != NONE;
        let lent = self.lent_len > 0;
        let all = !lent || (self.lent, self.lent_len) == (1, self.len);
        (one && all).then_some((self.head, lent))
    }

    /// A queue of `len` bytes whose only piece is this one, as [`Queue::only_piece`] told.
    pub fn of_piece(piece: u32, lent: bool, len: u32) -> Queue {
        let lent_len = if lent { len } else { 0 };
        Queue { head: piece, tail: piece, len, lent_len, lent: u16::from(lent), ..Queue::default() }
    }

    /// There is nothing in the queue.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl Pool {
    /// A pool of at least `bytes` bytes in chunks of [`CHUNK`].
    pub fn new(bytes: usize) -> Self {
        let count = bytes.div_ceil(CHUNK).clamp(1, NONE as usize - 1);
        let piece = |n| Piece {
            source: Source::Chunk,
            start: 0,
            end: 0,
            next: if n + 1 < count { n as u32 + 1 } else { NONE },
        };
        Pool {
            pieces: pages::table(count, piece),
            chunks: pages::table(count, |_| [0; CHUNK]),
            free: 0,
            free_count: count as u32,
        }
    }

    /// Bytes of memory that a pool of `bytes` bytes takes.
    pub fn memory(bytes: usize) -> usize {
        bytes.div_ceil(CHUNK).max(1) * (CHUNK + size_of::<Piece>())
    }

    /// Free chunks.
    pub fn free_chunks(&self) -> u32 {
        self.free_count
    }

    /// Chunks in all.
    pub fn chunks(&self) -> u32 {
        self.pieces.len() as u32
    }

    /// Bytes that surely fit into any one queue now.
    pub fn room(&self) -> usize {
        self.free_count as usize * CHUNK
    }

    /// Pieces that a queue holds of the pool.
    pub fn pieces_in(&self, queue: &Queue) -> u32 {
        let next = |index: &u32| self.pieces.get(*index as usize).map(|piece| piece.next);
        std::iter::successors(Some(queue.head), next).filter(|index| *index != NONE).count() as u32
    }

    fn take_piece(&mut self, source: Source) -> Option<u32> {
        let index = self.free;
        let piece = self.pieces.get_mut(index as usize)?;
        self.free = piece.next;
        self.free_count -= 1;
        *piece = Piece { source, start: 0, end: 0, next: NONE };
        Some(index)
    }

    fn append(&mut self, queue: &mut Queue, index: u32) {
        if queue.head == NONE {
            queue.head = index;
        } else if let Some(tail) = self.pieces.get_mut(queue.tail as usize) {
            tail.next = index;
        }
        queue.tail = index;
    }

    /// Copies bytes to the end of a queue; returns how many the pool had room for.
    pub fn push(&mut self, queue: &mut Queue, mut bytes: &[u8]) -> usize {
        let given = bytes.len();
        while !bytes.is_empty() {
            let room = match self.pieces.get(queue.tail as usize) {
                Some(tail) if !tail.source.is_lent() => CHUNK - tail.end as usize,
                _ => 0,
            };
            if room == 0 {
                let Some(index) = self.take_piece(Source::Chunk) else { break };
                self.append(queue, index);
                continue;
            }
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.fill_tail(queue.tail, now);
            queue.len += now.len() as u32;
            bytes = later;
        }
        given - bytes.len()
    }

    fn fill_tail(&mut self, index: u32, bytes: &[u8]) {
        let (Some(piece), Some(chunk)) =
            (self.pieces.get_mut(index as usize), self.chunks.get_mut(index as usize))
        else {
            return;
        };
        let at = piece.end as usize;
        if let Some(place) = chunk.get_mut(at..at + bytes.len()) {
            place.copy_from_slice(bytes);
            piece.end += bytes.len() as u32;
        }
    }

    /// Puts static bytes at the end of a queue without a copy; false when the pool or the queue has no piece
    /// left for them.
    #[must_use]
    pub fn push_static(&mut self, queue: &mut Queue, bytes: &'static [u8]) -> bool {
        self.push_lent(queue, Source::Static(bytes), bytes.len(), STATIC_PIECES_MAX)
    }

    /// Puts shared bytes at the end of a queue without a copy; the share is given up when the last of them leaves
    /// the queue. False, with the share given up at once, when the pool or the queue has no piece left for them.
    #[must_use]
    pub fn push_shared(&mut self, queue: &mut Queue, bytes: Arc<[u8]>) -> bool {
        let len = bytes.len();
        self.push_lent(queue, Source::Shared(bytes), len, SHARED_PIECES_MAX)
    }

    fn push_lent(&mut self, queue: &mut Queue, source: Source, len: usize, most: u16) -> bool {
        let Ok(len) = u32::try_from(len) else { return false };
        if len == 0 {
            return true;
        }
        if queue.lent >= most {
            return false;
        }
        let Some(index) = self.take_piece(source) else { return false };
        if let Some(piece) = self.pieces.get_mut(index as usize) {
            piece.end = len;
        }
        self.append(queue, index);
        queue.len += len;
        queue.lent_len += len;
        queue.lent += 1;
        true
    }

    /// A piece of static bytes for a queue that has no other: see [`Queue::of_piece`]. `None` when the pool has no piece
    /// left, or there are no bytes.
    pub fn lend(&mut self, bytes: &'static [u8]) -> Option<u32> {
        let len = u32::try_from(bytes.len()).ok().filter(|len| *len > 0)?;
        let index = self.take_piece(Source::Static(bytes))?;
        self.pieces.get_mut(index as usize)?.end = len;
        Some(index)
    }

    /// Takes back the only piece of a queue: see [`Queue::only_piece`].
    pub fn take_back(&mut self, index: u32) {
        if let Some(piece) = self.pieces.get_mut(index as usize) {
            piece.next = self.free;
            piece.source = Source::Chunk;
            self.free = index;
            self.free_count += 1;
        }
    }

    /// As [`Pool::copy_out`], from a queue's only piece.
    pub fn copy_piece(&self, index: u32, offset: u32, to: &mut [u8]) -> usize {
        let from = self.bytes_of(index).get(offset as usize..).unwrap_or_default();
        let count = from.len().min(to.len());
        if let (Some(place), Some(from)) = (to.get_mut(..count), from.get(..count)) {
            place.copy_from_slice(from);
        }
        count
    }

    fn bytes_of(&self, index: u32) -> &[u8] {
        let Some(piece) = self.pieces.get(index as usize) else { return &[] };
        let whole = match &piece.source {
            Source::Static(bytes) => *bytes,
            Source::Shared(bytes) => &bytes[..],
            Source::Chunk => self.chunks.get(index as usize).map_or(&[][..], |chunk| &chunk[..]),
        };
        whole.get(piece.start as usize..piece.end as usize).unwrap_or_default()
    }

    /// Remembers where in its chain a queue's byte at `offset` is, so that what is read from there on is found at once.
    pub fn seek(&self, queue: &mut Queue, offset: u32) {
        let (mut index, mut before) = queue.start_for(offset);
        while let Some(piece) = self.pieces.get(index as usize) {
            let end = before + (piece.end - piece.start);
            if offset < end {
                (queue.mark, queue.before_mark) = (index, before);
                return;
            }
            (index, before) = (piece.next, end);
        }
    }

    /// Copies bytes from `offset` on into `to`; returns how many there were.
    #[inline(never)]
    pub fn copy_out(&self, queue: &Queue, offset: u32, to: &mut [u8]) -> usize {
        let (mut index, before) = queue.start_for(offset);
        let mut offset = offset - before;
        let mut done = 0;
        while index != NONE && done < to.len() {
            let bytes = self.bytes_of(index);
            if (offset as usize) < bytes.len() {
                let from = bytes.get(offset as usize..).unwrap_or_default();
                let n = from.len().min(to.len() - done);
                if let (Some(place), Some(from)) = (to.get_mut(done..done + n), from.get(..n)) {
                    place.copy_from_slice(from);
                }
                done += n;
                offset = 0;
            } else {
                offset -= bytes.len() as u32;
            }
            index = self.pieces.get(index as usize).map_or(NONE, |piece| piece.next);
        }
        done
    }

    /// The queue holds exactly these bytes.
    pub fn equals(&self, queue: &Queue, mut bytes: &[u8]) -> bool {
        if queue.len as usize != bytes.len() {
            return false;
        }
        let mut index = queue.head;
        while index != NONE {
            let Some(rest) = bytes.strip_prefix(self.bytes_of(index)) else { return false };
            bytes = rest;
            index = self.pieces.get(index as usize).map_or(NONE, |piece| piece.next);
        }
        bytes.is_empty()
    }

    /// Removes `count` bytes (or all, if there are fewer) from the front.
    pub fn pop(&mut self, queue: &mut Queue, count: u32) {
        let mut left = count.min(queue.len);
        queue.len -= left;
        match queue.before_mark.checked_sub(left) {
            Some(before) => queue.before_mark = before,
            None => (queue.mark, queue.before_mark) = (NONE, 0),
        }
        while left > 0 {
            let Some(piece) = self.pieces.get_mut(queue.head as usize) else { return };
            let here = piece.end - piece.start;
            if piece.source.is_lent() {
                queue.lent_len -= left.min(here);
            }
            if left < here {
                piece.start += left;
                return;
            }
            left -= here;
            self.release_head(queue);
        }
    }

    fn release_head(&mut self, queue: &mut Queue) {
        let index = queue.head;
        let Some(piece) = self.pieces.get_mut(index as usize) else { return };
        queue.lent -= u16::from(piece.source.is_lent());
        queue.head = piece.next;
        if queue.head == NONE {
            queue.tail = NONE;
        }
        self.take_back(index);
    }

    /// Puts all of `back` behind `front`; `back` is empty afterwards. Costs two links, and a copy of what of the seam
    /// fits into the last chunk of `front`: however small the pieces were, two neighbours hold more than a chunk
    /// together, so that a queue takes at most twice its length (ATK-13).
    pub fn join(&mut self, front: &mut Queue, back: &mut Queue) {
        //= ATK-13
        self.close_seam(front, back);
        let back = std::mem::take(back);
        if front.head == NONE {
            *front = back;
        } else if back.head != NONE {
            if let Some(tail) = self.pieces.get_mut(front.tail as usize) {
                tail.next = back.head;
            }
            front.tail = back.tail;
            front.len += back.len;
            front.lent_len += back.lent_len;
            front.lent += back.lent;
        }
    }

    /// Moves pieces of `back` as a whole into the last chunk of `front`, as long as they fit.
    fn close_seam(&mut self, front: &mut Queue, back: &mut Queue) {
        while let (Some(tail), Some(head)) =
            (self.pieces.get(front.tail as usize), self.pieces.get(back.head as usize))
        {
            let len = head.end - head.start;
            let fits =
                !tail.source.is_lent() && !head.source.is_lent() && len as usize <= CHUNK - tail.end as usize;
            if !fits {
                return;
            }
            let mut bytes = [0; CHUNK];
            let Some(place) = bytes.get_mut(..len as usize) else { return };
            place.copy_from_slice(self.bytes_of(back.head));
            self.fill_tail(front.tail, place);
            front.len += len;
            back.len -= len;
            self.release_head(back);
        }
    }

    /// Empties a queue.
    pub fn clear(&mut self, queue: &mut Queue) {
        self.pop(queue, queue.len);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(pool: &Pool, queue: &Queue) -> Vec<u8> {
        let mut bytes = vec![0; queue.len() as usize + 10];
        let n = pool.copy_out(queue, 0, &mut bytes);
        bytes.truncate(n);
        bytes
    }

    #[test]
    fn a_piece_that_was_lent_is_a_queue() {
        let mut pool = Pool::new(2 * CHUNK);
        assert_eq!(pool.lend(&[]), None);
        let piece = pool.lend(b"abcdef").unwrap();
        let mut queue = Queue::of_piece(piece, true, 6);
        assert_eq!((content(&pool, &queue), queue.copied()), (b"abcdef".to_vec(), 0));
        pool.pop(&mut queue, 2);
        let mut place = [0; 3];
        assert_eq!((pool.copy_piece(piece, 1, &mut place), &place), (3, b"def"));
        assert_eq!((pool.copy_piece(piece, 3, &mut place), pool.copy_piece(piece, 9, &mut place)), (1, 0));
        assert!(pool.lend(b"x").is_some() && pool.lend(b"y").is_none());
        pool.take_back(piece);
        assert_eq!((pool.free_chunks(), pool.lend(b"y")), (1, Some(piece)));
    }

    proptest::proptest! {
        /// Any mixture of pushes and pops on two queues equals the same on two plain vectors.
        #[test]
        fn queues_behave_like_vectors(steps in proptest::collection::vec((0u8..7, 0u16..2000, 0usize..2), 1..80)) {
            static FIXED: [u8; 2000] = [0xfe; 2000];
            let mut pool = Pool::new(40 * CHUNK);
            let shared: Arc<[u8]> = Arc::from([0xfe; 700]);
            let mut queues = [Queue::default(), Queue::default()];
            let mut models = [Vec::new(), Vec::new()];
            for (kind, n, which) in steps {
                if kind == 4 && n < 400 {
                    let [front, back] = &mut queues;
                    pool.join(front, back);
                    let [front, back] = &mut models;
                    front.append(back);
                }
                let (queue, model) = (&mut queues[which], &mut models[which]);
                match kind {
                    4 => {}
                    // What is read from there on is found at once; nothing else changes.
                    6 => pool.seek(queue, u32::from(n)),
                    0 | 1 => {
                        let bytes: Vec<u8> = (0..n).map(|i| (i % 251) as u8).collect();
                        let taken = pool.push(queue, &bytes);
                        model.extend(&bytes[..taken]);
                    }
                    5 => {
                        if pool.push_shared(queue, shared.clone()) {
                            model.extend(&shared[..]);
                        }
                    }
                    2 => {
                        let bytes = &FIXED[..usize::from(n)];
                        if pool.push_static(queue, bytes) {
                            model.extend(bytes);
                        }
                    }
                    _ => {
                        pool.pop(queue, u32::from(n));
                        model.drain(..usize::from(n).min(model.len()));
                    }
                }
                for (queue, model) in queues.iter().zip(&models) {
                    let fixed = model.iter().filter(|byte| **byte == 0xfe).count();
                    assert_eq!(queue.copied() as usize, model.len() - fixed);
                    assert_eq!(&content(&pool, queue), model);
                    assert!(pool.equals(queue, model));
                    if let Some(last) = model.last() {
                        let mut other = model.clone();
                        *other.last_mut().unwrap() = !last;
                        assert!(!pool.equals(queue, &other) && !pool.equals(queue, &model[1..]));
                    }
                    let offset = model.len() / 3;
                    let mut part = vec![0; model.len() - offset];
                    assert_eq!(pool.copy_out(queue, offset as u32, &mut part), part.len());
                    assert_eq!(part, model[offset..]);
                }
            }
            for queue in &mut queues {
                pool.clear(queue);
            }
            assert_eq!(pool.free_chunks(), pool.chunks());
            assert_eq!(Arc::strong_count(&shared), 1, "every share is back");
        }
    }

    #[test]
    fn a_share_ends_with_its_last_byte_in_the_queue() {
        let mut pool = Pool::new(100 * CHUNK);
        let (mut queue, bytes) = (Queue::default(), Arc::<[u8]>::from([5; 10]));
        for _ in 0..SHARED_PIECES_MAX {
            assert!(pool.push_shared(&mut queue, bytes.clone()));
        }
        assert!(!pool.push_shared(&mut queue, bytes.clone()));
        assert_eq!((Arc::strong_count(&bytes), queue.copied()), (65, 0));
        pool.pop(&mut queue, 19);
        assert_eq!(Arc::strong_count(&bytes), 64);
        pool.pop(&mut queue, 1);
        assert_eq!(Arc::strong_count(&bytes), 63);
        assert_eq!(content(&pool, &queue), [5; 620]);
        pool.clear(&mut queue);
        assert_eq!(Arc::strong_count(&bytes), 1);
    }

    #[test]
    fn small_pieces_that_are_joined_take_no_chunk_each() {
        //= ATK-13
        let mut pool = Pool::new(600 * CHUNK);
        let mut all = Queue::default();
        for n in 0..5_000u32 {
            let mut one = Queue::default();
            pool.push(&mut one, &[n as u8; 3][..1 + n as usize % 3]);
            pool.join(&mut all, &mut one);
        }
        assert_eq!(pool.pieces_in(&all) as usize, (all.len() as usize).div_ceil(CHUNK));
        // Whole chunks are linked, not copied.
        let mut chunk = Queue::default();
        pool.push(&mut chunk, &[7; CHUNK]);
        let before = pool.pieces_in(&all);
        pool.join(&mut all, &mut chunk);
        assert_eq!((pool.pieces_in(&all), chunk.len()), (before + 1, 0));
        assert_eq!(content(&pool, &all).len(), all.len() as usize);
    }

    #[test]
    fn a_full_pool_takes_what_it_can() {
        let mut pool = Pool::new(2 * CHUNK);
        let mut queue = Queue::default();
        assert_eq!(pool.push(&mut queue, &[7; 3 * CHUNK]), 2 * CHUNK);
        assert!(!pool.push_static(&mut queue, &[1, 2, 3]));
        pool.pop(&mut queue, CHUNK as u32);
        assert!(pool.push_static(&mut queue, &[1, 2, 3]));
        assert_eq!(queue.len() as usize, CHUNK + 3);
    }
}
