#ifndef GW_ORIENT_H
#define GW_ORIENT_H

/*
 * Which side of the line from a to b the point p lies on: 1 left, -1 right, 0 on it. Exact for all
 * finite coordinates, without overflow or underflow; 0 where one isn't finite.
 */
int gw_orient(double ax, double ay, double bx, double by, double px, double py);

/* The same without the filter: for the tests of the part that is hardly ever reached. */
int gw_orient_exact(double ax, double ay, double bx, double by, double px, double py);

#endif
