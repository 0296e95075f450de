#include "boxes.h"

enum {
    GW_BOXES_FANOUT = 16,
    LEVELS = 17 /* 16^16 boxes fill 64 bits */
};

typedef struct {
    const double *boxes[LEVELS]; /* of each level, the lowest first */
    uint64_t count[LEVELS];
    int levels;
} tree;

static int meet(const double *a, const double *b)
{
    return a[0] <= b[2] && a[2] >= b[0] && a[1] <= b[3] && a[3] >= b[1];
}

/* Finds the levels; 0 where there are too few boxes for them. */
static int lay_out(tree *made, const double *boxes, uint64_t count, const double *upper,
                   uint64_t upper_count)
{
    made->boxes[0] = boxes;
    made->count[0] = count;
    made->levels = 1;
    while (made->count[made->levels - 1] > 1) {
        const uint64_t below = made->count[made->levels - 1];
        const uint64_t here = below / GW_BOXES_FANOUT + (below % GW_BOXES_FANOUT != 0);

        if (here > upper_count)
            return 0;
        made->boxes[made->levels] = upper;
        made->count[made->levels++] = here;
        upper += 4 * here;
        upper_count -= here;
    }
    return 1;
}

/*
 * All boxes that meet one, depth first without a stack: the next box at the same level is the
 * number after, and the one above is the number divided.
 */
static int64_t search(const tree *all, const double *query, int64_t owner, int64_t *owners,
                      int64_t *found, int64_t room)
{
    int level = all->levels - 1;
    uint64_t at = 0;
    int64_t count = 0;

    while (at < all->count[level]) {
        if (meet(all->boxes[level] + 4 * at, query)) {
            if (level > 0) {
                level--;
                at *= GW_BOXES_FANOUT;
                continue;
            }
            if (count < room) {
                owners[count] = owner;
                found[count] = (int64_t)at;
            }
            count++;
        }
        at++;
        while (level < all->levels - 1 && (at % GW_BOXES_FANOUT == 0 || at >= all->count[level])) {
            at = (at + GW_BOXES_FANOUT - 1) / GW_BOXES_FANOUT;
            level++;
        }
    }
    return count;
}

int64_t gw_boxes_meet(const double *boxes, uint64_t count, const double *upper,
                      uint64_t upper_count, const double *queries, int64_t query_count,
                      int64_t *owners, int64_t *found, int64_t room)
{
    tree all;
    int64_t total = 0;

    if (count == 0 || !lay_out(&all, boxes, count, upper, upper_count))
        return 0;
    for (int64_t i = 0; i < query_count; i++) {
        const int64_t left = total < room ? room - total : 0;

        total += search(&all, queries + 4 * i, i, owners + (room - left), found + (room - left),
                        left);
    }
    return total;
}
