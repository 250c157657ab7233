/* Prints where CPython keeps what the reader of other processes needs, one "name offset" a line.
 *
 * Compiled by generate.py against the headers of one CPython (3.8 to 3.15). Structures that are
 * private to a .c file of CPython have no header; they are written down here from that file, and
 * generate.py checks their sizes against the tp_basicsize of the types of a running interpreter.
 */
#define Py_BUILD_CORE 1
#include "Python.h"
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define AT_LEAST(minor) (PY_VERSION_HEX >= (0x03000000 + ((minor) << 16)))

#include "frameobject.h"
#include "structmember.h"
#if AT_LEAST(9)
#include "internal/pycore_interp.h"
#include "internal/pycore_runtime.h"
#else
#include "internal/pycore_pystate.h"
#endif
#if AT_LEAST(10)
#include "internal/pycore_moduleobject.h"
#else
typedef struct { PyObject_HEAD PyObject *md_dict; } PyModuleObject; /* Objects/moduleobject.c */
#endif
#if AT_LEAST(11)
#include "internal/pycore_dict.h"
#include "internal/pycore_frame.h"
#else
#include "code.h"
/* Objects/dict-common.h */
struct _dictkeysobject {
    Py_ssize_t dk_refcnt, dk_size;
    void *dk_lookup;
    Py_ssize_t dk_usable, dk_nentries;
    char dk_indices[];
};
#endif
#if AT_LEAST(13)
#include "internal/pycore_tstate.h"
#endif
#if AT_LEAST(14)
#include "internal/pycore_interpframe_structs.h"
#include "internal/pycore_llist.h"
#endif

/* Modules/_collectionsmodule.c: dequeobject up to maxlen */
typedef struct {
    PyObject_VAR_HEAD
    void *leftblock, *rightblock;
    Py_ssize_t leftindex, rightindex;
    size_t state;
    Py_ssize_t maxlen;
} deque;

/* Modules/_collectionsmodule.c: BLOCK */
typedef struct deque_block {
    struct deque_block *leftlink;
    PyObject *data[64];
    struct deque_block *rightlink;
} deque_block;

/* Modules/_queuemodule.c: simplequeueobject */
typedef struct {
    PyObject_HEAD
#if AT_LEAST(13)
    bool has_threads_waiting;
    struct { Py_ssize_t put_idx, get_idx; PyObject **items; Py_ssize_t items_cap, num_items; } ring;
#else
    PyThread_type_lock lock;
    int locked;
    PyObject *lst;
    Py_ssize_t lst_pos;
#endif
    PyObject *weakreflist;
} simple_queue;

/* Modules/_asynciomodule.c: FutureObj_HEAD(task), then TaskObj */
typedef struct {
    PyObject_HEAD
    PyObject *loop, *callback0, *context0, *callbacks, *exception;
#if AT_LEAST(10)
    PyObject *exception_tb;
#endif
    PyObject *result, *source_tb;
#if AT_LEAST(9)
    PyObject *cancel_msg;
#endif
#if AT_LEAST(13)
    PyObject *cancelled_exc;
#endif
#if AT_LEAST(14)
    PyObject *awaited_by;
#endif
    int state;
#if AT_LEAST(14)
    char is_task, awaited_by_is_set;
#endif
#if AT_LEAST(13)
    unsigned bits;
    int num_cancels;
#else
    int log_tb, blocking;
    PyObject *dict, *weakreflist;
#if AT_LEAST(11)
    PyObject *cancelled_exc;
#elif AT_LEAST(9)
    _PyErr_StackItem cancelled_exc_state;
#endif
#endif
    PyObject *fut_waiter, *coro, *name, *context;
#if AT_LEAST(14)
    struct llist_node node;
#endif
#if !AT_LEAST(13)
    int must_cancel, log_destroy_pending;
#if AT_LEAST(11)
    int num_cancels;
#endif
#endif
} task;

/* Modules/_asynciomodule.c: TaskStepMethWrapper, and TaskWakeupMethWrapper of 3.8 and 3.9 */
typedef struct { PyObject_HEAD PyObject *task; } task_wrapper;
/* Modules/_functoolsmodule.c: partialobject */
typedef struct { PyObject_HEAD PyObject *fn, *args, *kw; } partial;
/* Modules/selectmodule.c: pyEpoll_Object */
typedef struct { PyObject_HEAD int epfd; } epoll;
/* Modules/_threadmodule.c: lockobject, and rlockobject as far as to its owner; from 3.14 on a mutex
 * and a _PyRecursiveMutex stand there, whose owner has the same place */
typedef struct { PyObject_HEAD void *lock; unsigned long owner; } thread_lock;
/* Objects/genobject.c: PyCoroWrapper, PyAsyncGenASend and PyAsyncGenAThrow begin like this */
typedef struct { PyObject_HEAD PyObject *wrapped; } awaitable_wrapper;

#define FIELD(name, type, field) printf(name " %zu\n", offsetof(type, field))
#define NUMBER(name, value) printf(name " %d\n", (int)(value))
#define VALUE(name, value) printf(name " %zu\n", (size_t)(value))

int main(void)
{
    VALUE("object_size", sizeof(PyObject));
    FIELD("ob_type", PyObject, ob_type);
    FIELD("ob_size", PyVarObject, ob_size);
    FIELD("type_name", PyTypeObject, tp_name);
    FIELD("type_basicsize", PyTypeObject, tp_basicsize);
    FIELD("type_flags", PyTypeObject, tp_flags);
    FIELD("type_weaklistoffset", PyTypeObject, tp_weaklistoffset);
    FIELD("type_dict", PyTypeObject, tp_dict);
    FIELD("type_dictoffset", PyTypeObject, tp_dictoffset);
    FIELD("type_mro", PyTypeObject, tp_mro);
    FIELD("type_cached_keys", PyHeapTypeObject, ht_cached_keys);
    FIELD("module_dict", PyModuleObject, md_dict);
    FIELD("dict_used", PyDictObject, ma_used);
    FIELD("dict_keys", PyDictObject, ma_keys);
    FIELD("dict_values", PyDictObject, ma_values);
    FIELD("keys_nentries", struct _dictkeysobject, dk_nentries);
    FIELD("keys_indices", struct _dictkeysobject, dk_indices);
    FIELD("set_used", PySetObject, used);
    FIELD("set_mask", PySetObject, mask);
    FIELD("set_table", PySetObject, table);
    FIELD("weakref_object", PyWeakReference, wr_object);
    FIELD("list_items", PyListObject, ob_item);
    FIELD("tuple_items", PyTupleObject, ob_item);
    FIELD("float_value", PyFloatObject, ob_fval);
    FIELD("bytes_value", PyBytesObject, ob_sval);
    FIELD("str_length", PyASCIIObject, length);
    FIELD("str_state", PyASCIIObject, state);
    VALUE("str_ascii_size", sizeof(PyASCIIObject));
    VALUE("str_compact_size", sizeof(PyCompactUnicodeObject));
    {
        PyASCIIObject text;
        unsigned state;
        memset(&text, 0, sizeof text);
        text.state.kind = 1;
        memcpy(&state, &text.state, 4);
        VALUE("str_kind_shift", __builtin_ctz(state));
        memset(&text, 0, sizeof text);
        text.state.compact = 1;
        memcpy(&state, &text.state, 4);
        VALUE("str_compact_bit", __builtin_ctz(state));
        memset(&text, 0, sizeof text);
        text.state.ascii = 1;
        memcpy(&state, &text.state, 4);
        VALUE("str_ascii_bit", __builtin_ctz(state));
    }
#if AT_LEAST(12)
    FIELD("int_size", PyLongObject, long_value.lv_tag);
    FIELD("int_digits", PyLongObject, long_value.ob_digit);
#else
    FIELD("int_size", PyVarObject, ob_size);
    FIELD("int_digits", PyLongObject, ob_digit);
#endif
    FIELD("member_name", PyMemberDef, name);
    FIELD("member_offset", PyMemberDef, offset);
    VALUE("member_size", sizeof(PyMemberDef));
    FIELD("function_code", PyFunctionObject, func_code);
    FIELD("function_globals", PyFunctionObject, func_globals);
    FIELD("function_closure", PyFunctionObject, func_closure);
    FIELD("function_qualname", PyFunctionObject, func_qualname);
    FIELD("cell_content", PyCellObject, ob_ref);
    FIELD("lock_handle", thread_lock, lock);
    FIELD("lock_owner", thread_lock, owner);
    FIELD("descriptor_name", PyMethodDescrObject, d_common.d_name);
    FIELD("method_function", PyMethodObject, im_func);
    FIELD("method_self", PyMethodObject, im_self);
    FIELD("builtin_def", PyCFunctionObject, m_ml);
    FIELD("builtin_self", PyCFunctionObject, m_self);
    FIELD("partial_function", partial, fn);
    FIELD("partial_args", partial, args);
    FIELD("epoll_fd", epoll, epfd);
    FIELD("deque_left_block", deque, leftblock);
    FIELD("deque_left_index", deque, leftindex);
    FIELD("deque_state", deque, state);
    FIELD("deque_block_data", deque_block, data);
    FIELD("deque_block_right", deque_block, rightlink);
    VALUE("deque_block_items", sizeof(((deque_block *)0)->data) / sizeof(PyObject *));
#if AT_LEAST(13)
    FIELD("queue_get_index", simple_queue, ring.get_idx);
    FIELD("queue_items", simple_queue, ring.items);
    FIELD("queue_capacity", simple_queue, ring.items_cap);
    FIELD("queue_count", simple_queue, ring.num_items);
#else
    FIELD("queue_list", simple_queue, lst);
    FIELD("queue_list_position", simple_queue, lst_pos);
#endif
    VALUE("queue_size", sizeof(simple_queue));

    FIELD("runtime_interpreters", _PyRuntimeState, interpreters.head);
    FIELD("interp_next", PyInterpreterState, next);
    FIELD("interp_id", PyInterpreterState, id);
#if AT_LEAST(9)
    FIELD("interp_gc", PyInterpreterState, gc);
#else
    FIELD("runtime_gc", _PyRuntimeState, gc);
#endif
    FIELD("gc_collecting", struct _gc_runtime_state, collecting);
#if AT_LEAST(12)
    FIELD("interp_gil", PyInterpreterState, ceval.gil);
#else
    FIELD("runtime_gil", _PyRuntimeState, ceval.gil);
#endif
    FIELD("gil_holder", struct _gil_runtime_state, last_holder);
    FIELD("gil_locked", struct _gil_runtime_state, locked);
#if AT_LEAST(11)
    FIELD("interp_threads", PyInterpreterState, threads.head);
#else
    FIELD("interp_threads", PyInterpreterState, tstate_head);
#endif
#if AT_LEAST(12)
    FIELD("interp_modules", PyInterpreterState, imports.modules);
#else
    FIELD("interp_modules", PyInterpreterState, modules);
#endif
    FIELD("thread_next", PyThreadState, next);
    FIELD("thread_dict", PyThreadState, dict);
    FIELD("thread_ident", PyThreadState, thread_id);
#if AT_LEAST(11)
    FIELD("thread_native_id", PyThreadState, native_thread_id);
    FIELD("thread_chunk", PyThreadState, datastack_chunk);
    FIELD("thread_chunk_top", PyThreadState, datastack_top);
    FIELD("chunk_previous", _PyStackChunk, previous);
    FIELD("chunk_top", _PyStackChunk, top);
    FIELD("chunk_data", _PyStackChunk, data);
#else
    FIELD("frame_back", PyFrameObject, f_back);
    FIELD("frame_locals", PyFrameObject, f_localsplus);
#endif
#if AT_LEAST(13)
    FIELD("thread_frame", PyThreadState, current_frame);
#elif AT_LEAST(11)
    FIELD("thread_frame", PyThreadState, cframe);
    FIELD("cframe_frame", _PyCFrame, current_frame);
#else
    FIELD("thread_frame", PyThreadState, frame);
#endif

    FIELD("code_file", PyCodeObject, co_filename);
    FIELD("code_name", PyCodeObject, co_name);
    FIELD("code_names", PyCodeObject, co_names);
    FIELD("code_first_line", PyCodeObject, co_firstlineno);
#if AT_LEAST(11)
    FIELD("code_qualname", PyCodeObject, co_qualname);
    FIELD("code_bytecode", PyCodeObject, co_code_adaptive);
    FIELD("code_exceptions", PyCodeObject, co_exceptiontable);
    FIELD("code_locals", PyCodeObject, co_nlocalsplus);
#else
    FIELD("code_bytes", PyCodeObject, co_code);
#endif
#if AT_LEAST(12)
    FIELD("code_version", PyCodeObject, co_version);
#endif
#if AT_LEAST(10)
    FIELD("code_lines", PyCodeObject, co_linetable);
#else
    FIELD("code_lines", PyCodeObject, co_lnotab);
#endif
    FIELD("gen_qualname", PyGenObject, gi_qualname);
    FIELD("awaitable_wrapped", awaitable_wrapper, wrapped);
#if AT_LEAST(11)
    FIELD("gen_state", PyGenObject, gi_frame_state);
    FIELD("gen_frame", PyGenObject, gi_iframe);
#if AT_LEAST(13)
    FIELD("frame_code", _PyInterpreterFrame, f_executable);
    FIELD("frame_instruction", _PyInterpreterFrame, instr_ptr);
#else
    FIELD("frame_code", _PyInterpreterFrame, f_code);
    FIELD("frame_instruction", _PyInterpreterFrame, prev_instr);
#endif
#if AT_LEAST(14)
    FIELD("frame_stack_top", _PyInterpreterFrame, stackpointer);
#else
    FIELD("frame_stack_top", _PyInterpreterFrame, stacktop);
#endif
    FIELD("frame_locals", _PyInterpreterFrame, localsplus);
    FIELD("frame_back", _PyInterpreterFrame, previous);
    FIELD("frame_owner", _PyInterpreterFrame, owner);
#else
    FIELD("gen_frame", PyGenObject, gi_frame);
    FIELD("frame_code", PyFrameObject, f_code);
    FIELD("frame_instruction", PyFrameObject, f_lasti);
    FIELD("frame_value_stack", PyFrameObject, f_valuestack);
    FIELD("frame_block_count", PyFrameObject, f_iblock);
    FIELD("frame_blocks", PyFrameObject, f_blockstack);
    VALUE("block_size", sizeof(PyTryBlock));
    FIELD("block_handler", PyTryBlock, b_handler);
    FIELD("block_level", PyTryBlock, b_level);
#if AT_LEAST(10)
    FIELD("frame_stack_top", PyFrameObject, f_stackdepth);
    FIELD("frame_state", PyFrameObject, f_state);
#else
    FIELD("frame_stack_top", PyFrameObject, f_stacktop);
    FIELD("frame_executing", PyFrameObject, f_executing);
    FIELD("gen_running", PyGenObject, gi_running);
#endif
#endif
#if AT_LEAST(10)
#if AT_LEAST(15)
    NUMBER("frame_awaiting_first", FRAME_SUSPENDED_YIELD_FROM);
    NUMBER("frame_awaiting_last", FRAME_SUSPENDED_YIELD_FROM_LOCKED);
#elif AT_LEAST(13)
    NUMBER("frame_awaiting_first", FRAME_SUSPENDED_YIELD_FROM);
    NUMBER("frame_awaiting_last", FRAME_SUSPENDED_YIELD_FROM);
#else
    NUMBER("frame_awaiting_first", FRAME_SUSPENDED);
    NUMBER("frame_awaiting_last", FRAME_SUSPENDED);
#endif
    NUMBER("frame_cleared", FRAME_CLEARED);
#endif

    VALUE("task_size", sizeof(task));
    FIELD("task_loop", task, loop);
    FIELD("task_state", task, state);
    FIELD("task_waiter", task, fut_waiter);
    FIELD("task_coroutine", task, coro);
    FIELD("task_name", task, name);
    FIELD("task_wrapper_task", task_wrapper, task);
#if AT_LEAST(13)
    FIELD("thread_running_loop", _PyThreadStateImpl, asyncio_running_loop);
#endif
#if AT_LEAST(14)
    FIELD("task_node", task, node);
    FIELD("thread_running_task", _PyThreadStateImpl, asyncio_running_task);
    FIELD("thread_tasks", _PyThreadStateImpl, asyncio_tasks_head);
    FIELD("interp_tasks", PyInterpreterState, asyncio_tasks_head);
#endif
    return 0;
}
