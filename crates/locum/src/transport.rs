//! What calls travel over: TCP, Unix sockets, TLS, memory.
