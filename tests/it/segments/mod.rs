//! What happens when a segment arrives: the matrix of states and events, and what it cannot say.

mod acks;
mod before;
mod large;
mod matrix;
mod rcv_ack;
mod rcv_fin;
mod rcv_fin_ack;
mod rcv_rst;
mod rcv_rst_ack;
mod rcv_syn;
mod rcv_syn_ack;
mod rcv_syn_fin;
mod sending;
mod syn_sent;
mod timestamps;
mod urgent;
mod windows;
