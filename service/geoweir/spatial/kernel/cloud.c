#include "cloud.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { NO_MEMORY = -1, NOT_A_CELL = -2, TOO_MUCH = -3, BAD_RINGS = -4 };

#define MOST_POINTS ((size_t)1 << 28)
#define FARTHEST 4503599627370496.0 /* 2^52 cells from zero: beyond, halves of a cell are lost */

/* ---- cells, found by hashing ---- */

typedef struct {
    int64_t key[3];
    double best;    /* what the cell's point is chosen by */
    uint32_t point; /* the chosen point */
} cell;

typedef struct {
    uint32_t *slots; /* number of a cell plus one; 0 is free */
    uint32_t mask;
    cell *cells;
    uint32_t count;
    uint32_t room;
    uint64_t seed;
} table;

/* Room for a cell per point, at most half full, so that a free slot ends every search. */
static int table_open(table *of, size_t points, uint64_t seed)
{
    size_t slots = 64;

    while (slots < 2 * points)
        slots *= 2;
    memset(of, 0, sizeof *of);
    of->mask = (uint32_t)(slots - 1);
    of->seed = seed;
    of->room = 256;
    of->slots = calloc(slots, sizeof *of->slots);
    of->cells = malloc(of->room * sizeof *of->cells);
    return of->slots != NULL && of->cells != NULL;
}

static void table_close(table *of)
{
    free(of->slots);
    free(of->cells);
}

/*
 * The finalizer of splitmix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators,
 * 2014) over the three numbers. The seed is the process's own, so that nobody can send points that
 * all meet in one slot; no result depends on it.
 */
static uint64_t mixed(const int64_t key[3], uint64_t seed)
{
    uint64_t hash = seed;

    for (int axis = 0; axis < 3; axis++) {
        hash ^= (uint64_t)key[axis];
        hash = (hash ^ (hash >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        hash = (hash ^ (hash >> 27)) * UINT64_C(0x94d049bb133111eb);
        hash ^= hash >> 31;
    }
    return hash;
}

/* The cell of a key, a new one where there is none (its point is UINT32_MAX); NULL: no memory. */
static cell *table_find(table *in, const int64_t key[3])
{
    uint32_t slot = (uint32_t)mixed(key, in->seed) & in->mask;
    cell *found;

    for (; in->slots[slot] != 0; slot = (slot + 1) & in->mask) {
        found = &in->cells[in->slots[slot] - 1];
        if (found->key[0] == key[0] && found->key[1] == key[1] && found->key[2] == key[2])
            return found;
    }
    if (in->count == in->room) {
        cell *larger = realloc(in->cells, 2 * (size_t)in->room * sizeof *larger);

        if (larger == NULL)
            return NULL;
        in->cells = larger;
        in->room *= 2;
    }
    found = &in->cells[in->count++];
    in->slots[slot] = in->count;
    memcpy(found->key, key, sizeof found->key);
    found->point = UINT32_MAX;
    return found;
}

/* Whole cells from zero, rounded down; false where a double can't tell. */
static int cell_of(double value, double size, int64_t *key)
{
    double cells = value / size;

    if (!(fabs(cells) < FARTHEST))
        return 0;
    *key = (int64_t)cells;
    *key -= cells < (double)*key;
    return 1;
}

/* ---- thinning ---- */

static double from_centre(double value, int64_t key, double size)
{
    return value - ((double)key + 0.5) * size;
}

/* Whether a comes before b: of two equally near points the one with the lesser x, y, z stays. */
static int is_less(const double a[3], const double b[3])
{
    for (int axis = 0; axis < 2; axis++)
        if (a[axis] != b[axis])
            return a[axis] < b[axis];
    return a[2] < b[2];
}

int64_t gw_cloud_voxels(const double *points, size_t count, double size, uint64_t seed,
                        uint8_t *keep)
{
    int64_t result = 0;
    table voxels;

    if (count > MOST_POINTS)
        return TOO_MUCH;
    if (!table_open(&voxels, count, seed)) {
        table_close(&voxels);
        return NO_MEMORY;
    }
    for (size_t index = 0; index < count; index++) {
        const double *point = points + 3 * index;
        int64_t key[3];
        double distance = 0;
        cell *voxel;

        for (int axis = 0; axis < 3; axis++) {
            double offset;

            if (!cell_of(point[axis], size, &key[axis])) {
                result = NOT_A_CELL;
                goto end;
            }
            offset = from_centre(point[axis], key[axis], size);
            distance += offset * offset;
        }
        voxel = table_find(&voxels, key);
        if (voxel == NULL) {
            result = NO_MEMORY;
            goto end;
        }
        if (voxel->point == UINT32_MAX || distance < voxel->best ||
            (distance == voxel->best && is_less(point, points + 3 * (size_t)voxel->point))) {
            voxel->best = distance;
            voxel->point = (uint32_t)index;
        }
    }
    memset(keep, 0, count);
    for (uint32_t number = 0; number < voxels.count; number++)
        keep[voxels.cells[number].point] = 1;
    result = voxels.count;
end:
    table_close(&voxels);
    return result;
}

/* ---- lowest points ---- */

int64_t gw_cloud_lowest(const double *points, size_t count, double size, uint64_t seed,
                        double *lowest)
{
    int64_t result = 0;
    uint32_t *numbers; /* each point's cell */
    table squares;

    if (count > MOST_POINTS)
        return TOO_MUCH;
    numbers = malloc((count + 1) * sizeof *numbers);
    if (!table_open(&squares, count, seed) || numbers == NULL) {
        result = NO_MEMORY;
        goto end;
    }
    for (size_t index = 0; index < count; index++) {
        const double *point = points + 3 * index;
        int64_t key[3] = {0, 0, 0};
        cell *square;

        if (!cell_of(point[0], size, &key[0]) || !cell_of(point[1], size, &key[1])) {
            result = NOT_A_CELL;
            goto end;
        }
        square = table_find(&squares, key);
        if (square == NULL) {
            result = NO_MEMORY;
            goto end;
        }
        if (square->point == UINT32_MAX || point[2] < square->best) {
            square->best = point[2];
            square->point = (uint32_t)index;
        }
        numbers[index] = (uint32_t)(square - squares.cells);
    }
    for (size_t index = 0; index < count; index++)
        lowest[index] = squares.cells[numbers[index]].best;
    result = squares.count;
end:
    free(numbers);
    table_close(&squares);
    return result;
}

/* ---- cropping ---- */

#define MOST_BANDS 65536
#define MOST_SIDE 256

enum { OUT = 0, IN = 1, UNKNOWN = 2 };

typedef struct {
    double ax, ay, bx, by;
    uint32_t owner;
} edge;

typedef struct {
    double west, south, east, north;
} box;

/* Edges by horizontal bands of equal height; those of a band stand in the order of the rings. */
typedef struct {
    edge *edges;
    size_t edge_count;
    uint32_t *listed; /* edges, band by band */
    uint64_t *starts; /* bands + 1, and one more while they are made */
    uint32_t bands;
    double low, scale; /* band = (y - low) * scale */
    uint64_t tests;    /* edges looked at so far */
} banded;

/* Square many cells over the points: IN or OUT where no edge touches the cell. */
typedef struct {
    uint8_t *states;
    uint32_t side;
    box over;
    double width, height; /* of a cell */
} sieve;

static double lesser(double a, double b)
{
    return a < b ? a : b;
}

static double greater(double a, double b)
{
    return a > b ? a : b;
}

static box box_of(const double *points, size_t count)
{
    box of = {INFINITY, INFINITY, -INFINITY, -INFINITY};

    for (size_t index = 0; index < count; index++) {
        const double *point = points + 3 * index;

        of.west = lesser(point[0], of.west);
        of.east = greater(point[0], of.east);
        of.south = lesser(point[1], of.south);
        of.north = greater(point[1], of.north);
    }
    return of;
}

/* Which of equal steps from zero a distance falls into; monotonic, NaN gives the first. */
static uint32_t step_of(double steps, uint32_t count)
{
    if (!(steps > 0))
        return 0;
    return steps < count ? (uint32_t)steps : count - 1;
}

/* What never touches a point and never lies to its right decides nothing. */
static int matters(const double *a, const double *b, const box *within)
{
    return (a[0] != b[0] || a[1] != b[1]) && greater(a[1], b[1]) >= within->south &&
           lesser(a[1], b[1]) <= within->north && greater(a[0], b[0]) >= within->west;
}

static int gather(banded *into, const double *vertices, size_t vertex_count, const uint64_t *rings,
                  const uint32_t *owners, size_t ring_count, const box *within)
{
    into->edges = malloc((vertex_count + 1) * sizeof *into->edges);
    if (into->edges == NULL)
        return NO_MEMORY;
    for (size_t ring = 0; ring < ring_count; ring++) {
        if (rings[ring] > rings[ring + 1] || rings[ring + 1] > vertex_count)
            return BAD_RINGS;
        for (uint64_t at = rings[ring]; at + 1 < rings[ring + 1]; at++) {
            const double *a = vertices + 2 * at;

            if (matters(a, a + 2, within))
                into->edges[into->edge_count++] = (edge){a[0], a[1], a[2], a[3], owners[ring]};
        }
    }
    return 0;
}

/* Monotonic, so that a point's band is among those of every edge at its height. */
static uint32_t band_of(const banded *in, double y)
{
    return step_of((y - in->low) * in->scale, in->bands);
}

/*
 * So many bands that an edge is listed in six of them at most on average: two for its ends, four
 * for those that it passes through.
 */
static void choose_bands(banded *of, const box *within)
{
    double height = within->north - within->south, passed = 0, bands;

    for (size_t index = 0; index < of->edge_count; index++) {
        const edge *one = &of->edges[index];

        passed += lesser(greater(one->ay, one->by), within->north) -
                  greater(lesser(one->ay, one->by), within->south);
    }
    bands = lesser(4.0 * (double)of->edge_count, MOST_BANDS);
    if (passed > 0)
        bands = lesser(bands, 4.0 * (double)of->edge_count * height / passed);
    of->bands = bands >= 1 ? (uint32_t)bands : 1;
    of->low = within->south;
    of->scale = height > 0 ? of->bands / height : 0;
    if (!isfinite(of->scale))
        of->scale = 0;
}

/* Counts, sums up, then lists: the usual counting sort, which keeps the order. */
static int list_edges(banded *of)
{
    of->starts = calloc((size_t)of->bands + 2, sizeof *of->starts);
    if (of->starts == NULL)
        return NO_MEMORY;
    for (size_t index = 0; index < of->edge_count; index++) {
        const edge *one = &of->edges[index];
        uint32_t last = band_of(of, greater(one->ay, one->by));

        for (uint32_t band = band_of(of, lesser(one->ay, one->by)); band <= last; band++)
            of->starts[band + 2]++;
    }
    for (uint32_t band = 0; band < of->bands; band++)
        of->starts[band + 2] += of->starts[band + 1];
    of->listed = malloc((of->starts[of->bands + 1] + 1) * sizeof *of->listed);
    if (of->listed == NULL)
        return NO_MEMORY;
    for (size_t index = 0; index < of->edge_count; index++) {
        const edge *one = &of->edges[index];
        uint32_t last = band_of(of, greater(one->ay, one->by));

        for (uint32_t band = band_of(of, lesser(one->ay, one->by)); band <= last; band++)
            of->listed[of->starts[band + 1]++] = (uint32_t)index;
    }
    return 0;
}

enum { APART, CROSSES, TOUCHES, HIDDEN };

/*
 * On which side of an edge a point lies: 1 left, -1 right, 0 on its line, 2 where rounding hides
 * it. The bound is that of Shewchuk's first filter (Adaptive precision floating-point arithmetic
 * and fast robust geometric predicates, 1997); the absolute term covers products that underflow.
 */
static int side_of(const edge *of, double x, double y)
{
    double left = (of->ax - x) * (of->by - y), right = (of->ay - y) * (of->bx - x);
    double sign = left - right;

    if (fabs(sign) > 3.3306690738754716e-16 * (fabs(left) + fabs(right)) + 1e-290)
        return sign > 0 ? 1 : -1;
    if ((of->ax == x || of->by == y) && (of->ay == y || of->bx == x))
        return 0;
    return 2;
}

/* What an edge is to the ray that goes from a point to the right. */
static int relation(const edge *to, double x, double y)
{
    int side;

    if (x > greater(to->ax, to->bx))
        return APART;
    if ((to->ay > y) == (to->by > y)) {
        int is_end = (x == to->ax && y == to->ay) || (x == to->bx && y == to->by);
        int is_along = to->ay == y && to->by == y && x >= lesser(to->ax, to->bx);

        return is_end || is_along ? TOUCHES : APART;
    }
    if (x < lesser(to->ax, to->bx))
        return CROSSES;
    side = side_of(to, x, y);
    if (side == 0)
        return TOUCHES;
    if (side == 2)
        return HIDDEN;
    return (side > 0) == (to->by > to->ay) ? CROSSES : APART;
}

/* Whether a point lies in a polygon or on its edge, by counting polygon by polygon. */
static uint8_t located(banded *in, double x, double y)
{
    uint32_t band = band_of(in, y), owner = UINT32_MAX;
    int crossings = 0, is_hidden = 0, was_hidden = 0;

    in->tests += in->starts[band + 1] - in->starts[band];
    for (uint64_t at = in->starts[band]; at < in->starts[band + 1]; at++) {
        const edge *one = &in->edges[in->listed[at]];

        if (one->owner != owner) {
            if (!is_hidden && (crossings & 1))
                return IN;
            was_hidden |= is_hidden;
            owner = one->owner;
            crossings = is_hidden = 0;
        }
        switch (relation(one, x, y)) {
        case CROSSES:
            crossings++;
            break;
        case TOUCHES:
            return IN;
        case HIDDEN:
            is_hidden = 1;
            break;
        default:
            break;
        }
    }
    if (!is_hidden && (crossings & 1))
        return IN;
    return is_hidden || was_hidden ? UNKNOWN : OUT;
}

static uint32_t column_of(const sieve *in, double x)
{
    return step_of((x - in->over.west) / in->width, in->side);
}

static uint32_t row_of(const sieve *in, double y)
{
    return step_of((y - in->over.south) / in->height, in->side);
}

/* A sixty-fourth of a cell is far more than what rounding does to coordinates below this bound. */
static int is_coarse(const sieve *of, double coordinate)
{
    return fabs(coordinate) < 0x1p40 * lesser(of->width, of->height);
}

static double x_at(const edge *on, double y)
{
    double x = on->ax + (y - on->ay) / (on->by - on->ay) * (on->bx - on->ax);

    return lesser(greater(x, lesser(on->ax, on->bx)), greater(on->ax, on->bx));
}

/* Marks the cells that an edge touches, and a little more: no cell that it touches is left out. */
static void mark(sieve *in, const edge *one)
{
    double low = lesser(one->ay, one->by), high = greater(one->ay, one->by);
    double pad_x = in->width / 64, pad_y = in->height / 64;
    uint32_t last = row_of(in, high + pad_y);

    if (lesser(one->ax, one->bx) > in->over.east)
        return;
    for (uint32_t row = row_of(in, low - pad_y); row <= last; row++) {
        double from_y = greater(low, in->over.south + row * in->height - pad_y);
        double to_y = lesser(high, in->over.south + (row + 1.0) * in->height + pad_y);
        double a = low < high ? x_at(one, from_y) : one->ax;
        double b = low < high ? x_at(one, to_y) : one->bx;
        uint32_t from = column_of(in, lesser(a, b) - pad_x);
        uint32_t to = column_of(in, greater(a, b) + pad_x);

        memset(in->states + (size_t)row * in->side + from, UNKNOWN, to - from + 1);
    }
}

/* Neighbours that no edge touches lie on the same side of all edges: one of them is located. */
static void settle(sieve *in, banded *by)
{
    for (uint32_t row = 0; row < in->side; row++) {
        uint8_t *states = in->states + (size_t)row * in->side;
        uint8_t known = UNKNOWN;

        for (uint32_t column = 0; column < in->side; column++) {
            if (states[column] == UNKNOWN)
                known = UNKNOWN;
            else if (known == UNKNOWN)
                known = located(by, in->over.west + (column + 0.5) * in->width,
                                in->over.south + (row + 0.5) * in->height);
            states[column] = known;
        }
    }
}

/* Whether coordinates and cells are such that ``mark`` leaves nothing out. */
static int is_sound(const sieve *of, const banded *edges)
{
    if (!is_coarse(of, of->over.west) || !is_coarse(of, of->over.east) ||
        !is_coarse(of, of->over.south) || !is_coarse(of, of->over.north))
        return 0;
    for (size_t index = 0; index < edges->edge_count; index++) {
        const edge *one = &edges->edges[index];

        if (!is_coarse(of, one->ax) || !is_coarse(of, one->ay) || !is_coarse(of, one->bx) ||
            !is_coarse(of, one->by))
            return 0;
    }
    return 1;
}

/* About a cell per point; without ``states`` where it would not pay or not be sound. */
static int sieve_open(sieve *of, banded *edges, const box *over, size_t points)
{
    memset(of, 0, sizeof *of);
    of->side = 1;
    while (of->side < MOST_SIDE && (size_t)of->side * of->side * 4 <= points)
        of->side *= 2;
    of->over = *over;
    of->width = (over->east - over->west) / of->side;
    of->height = (over->north - over->south) / of->side;
    if (of->side == 1 || edges->edge_count > points || !is_sound(of, edges))
        return 0;
    of->states = calloc(of->side, of->side);
    if (of->states == NULL)
        return NO_MEMORY;
    for (size_t index = 0; index < edges->edge_count; index++)
        mark(of, &edges->edges[index]);
    settle(of, edges);
    return 0;
}

static uint8_t sifted(const sieve *by, const double *point)
{
    if (by->states == NULL)
        return UNKNOWN;
    return by->states[(size_t)row_of(by, point[1]) * by->side + column_of(by, point[0])];
}

int64_t gw_cloud_crop(const double *points, size_t count, const double *vertices,
                      size_t vertex_count, const uint64_t *rings, const uint32_t *owners,
                      size_t ring_count, uint64_t most, uint8_t *inside)
{
    box over = box_of(points, count);
    banded edges;
    sieve cells;
    int64_t result;

    if (count > MOST_POINTS || vertex_count > MOST_POINTS)
        return TOO_MUCH;
    memset(&edges, 0, sizeof edges);
    memset(&cells, 0, sizeof cells);
    result = gather(&edges, vertices, vertex_count, rings, owners, ring_count, &over);
    if (result < 0)
        goto end;
    choose_bands(&edges, &over);
    result = list_edges(&edges);
    if (result < 0)
        goto end;
    result = sieve_open(&cells, &edges, &over, count);
    if (result < 0)
        goto end;
    for (size_t index = 0; index < count && edges.tests <= most; index++) {
        const double *point = points + 3 * index;
        uint8_t state = sifted(&cells, point);

        inside[index] = state == UNKNOWN ? located(&edges, point[0], point[1]) : state;
    }
    result = edges.tests <= most ? (int64_t)edges.edge_count : TOO_MUCH;
end:
    free(edges.edges);
    free(edges.listed);
    free(edges.starts);
    free(cells.states);
    return result;
}
