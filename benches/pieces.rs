//! Checksum and header parser.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput};
use dpdk_tcp::wire::checksum::checksum;
use dpdk_tcp::wire::tcp;

pub fn all(c: &mut Criterion) {
    sums(c);
    parser(c);
}

fn sums(c: &mut Criterion) {
    let mut group = c.benchmark_group("checksum");
    for len in [20usize, 64, 1460] {
        let bytes: Vec<u8> = (0..len).map(|i| i as u8).collect();
        group.throughput(Throughput::Bytes(len as u64));
        group.bench_with_input(BenchmarkId::from_parameter(len), &bytes, |b, bytes| {
            b.iter(|| checksum(black_box(bytes)));
        });
    }
    group.finish();
}

fn parser(c: &mut Criterion) {
    let mut syn = vec![0u8; 40];
    syn[..4].copy_from_slice(&[0x0d, 0x09, 0x1e, 0x6c]);
    (syn[12], syn[13]) = (0xa0, 0x02);
    syn[20..].copy_from_slice(&[2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 3, 0xe8, 0, 0, 0, 0, 1, 3, 3, 7]);
    let mut ack = vec![0u8; 20];
    ack[..4].copy_from_slice(&[0x0d, 0x09, 0x1e, 0x6c]);
    (ack[12], ack[13]) = (0x50, 0x10);
    let mut group = c.benchmark_group("parse");
    group.bench_function("syn with options", |b| b.iter(|| tcp::parse(black_box(&syn))));
    group.bench_function("ack", |b| b.iter(|| tcp::parse(black_box(&ack))));
    group.finish();
}
