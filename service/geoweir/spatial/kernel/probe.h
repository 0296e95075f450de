/* The number of the kernel's interface: a kernel of another one is not used. */
int gw_interface(void);
