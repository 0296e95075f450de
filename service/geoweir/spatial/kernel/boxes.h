#ifndef GW_BOXES_H
#define GW_BOXES_H

#include <stdint.h>

/*
 * Boxes that meet boxes, by a packed Hilbert R-tree (Kamel and Faloutsos 1993): the boxes stand in
 * the order of the curve, so each GW_BOXES_FANOUT of them have one box in the level above, and so
 * on up to a single one; `upper` holds the levels from the lowest up. A box is least x, least y,
 * greatest x, greatest y; one with NaN meets nothing.
 *
 * Returns how many pairs of (index of the query, index of the box) there are, in ascending order;
 * where that is more than `room`, the call is to be repeated with more.
 */
int64_t gw_boxes_meet(const double *boxes, uint64_t count, const double *upper,
                      uint64_t upper_count, const double *queries, int64_t query_count,
                      int64_t *owners, int64_t *found, int64_t room);

#endif
